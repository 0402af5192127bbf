import type { StandardSchemaV1 } from '@standard-schema/spec'
import { errorText, TandemError } from './errors.ts'

/**
 * Runs a Standard Schema (https://standardschema.dev) over a payload and returns what the schema made of it.
 *
 * @throws TandemError `PAYLOAD_INVALID` with every issue and its path; values are left out, since they may be secret
 */
export async function validate(schema: StandardSchemaV1 | undefined, payload: unknown, type: string): Promise<unknown> {
  if (schema === undefined) return payload
  let result: StandardSchemaV1.Result<unknown>
  try {
    const answer = schema['~standard'].validate(payload)
    result = answer instanceof Promise ? await answer : answer
  } catch (error) {
    throw new TandemError('PAYLOAD_INVALID', `the schema of ${type} threw: ${errorText(error)}`, { cause: error })
  }
  if (typeof result !== 'object' || result === null) {
    throw new TandemError('PAYLOAD_INVALID', `the schema of ${type} gave no result; is it a Standard Schema?`)
  }
  if (result.issues === undefined) return result.value
  const issues = result.issues.slice(0, 10).map((issue) => `${pathOf(issue)}: ${issue.message}`)
  const more = result.issues.length > 10 ? `; and ${result.issues.length - 10} more` : ''
  throw new TandemError(
    'PAYLOAD_INVALID',
    `the payload does not match the schema of ${type}: ${issues.join('; ')}${more}`,
  )
}

function pathOf(issue: StandardSchemaV1.Issue): string {
  const steps = issue.path?.map((step) => String(typeof step === 'object' ? step.key : step)) ?? []
  return ['$', ...steps].join('.')
}
