import { parameters, parentGone, report, told } from '../src/harness/parent.ts'
import { watchMemory } from '../src/harness/usage.ts'

const { add = 0, exitWith } = parameters<{ add?: number; exitWith?: number }>()
if (exitWith !== undefined) process.exit(exitWith)
const peak = watchMemory()
for (let i = 0; i < 2; i++) await report('sum', (await told<number>('number')) + add)
await report('memory', peak())
await parentGone
