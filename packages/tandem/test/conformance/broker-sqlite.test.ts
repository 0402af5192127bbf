import { describe, it } from 'vitest'
import { brokerConformance } from '../../src/conformance/broker.ts'
import { register } from '../../src/conformance/case.ts'
import { sqliteBrokerConformance } from './sqlite-broker-fixture.ts'

register(brokerConformance(sqliteBrokerConformance()), { describe, it })
