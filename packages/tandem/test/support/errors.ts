import { expect } from 'vitest'
import { isTandemError, type ErrorCode, type TandemError } from '../../src/core/errors.ts'

/** The error that `act` throws or rejects with. Fails if there is none, or if it has another code. */
export async function refusal(code: ErrorCode, act: () => unknown): Promise<TandemError> {
  let result: unknown
  try {
    result = await act()
  } catch (error) {
    if (!isTandemError(error)) throw error
    expect(error.code, error.message).toBe(code)
    expect(error.message, 'says more than a word').toMatch(/\S+ \S+ \S+/)
    return error
  }
  throw new Error(`expected a refusal with ${code}, but it was accepted: ${String(result)}`)
}

/** As `refusal`, for what throws at once. */
export function thrown(code: ErrorCode, act: () => unknown): TandemError {
  let result: unknown
  try {
    result = act()
  } catch (error) {
    if (!isTandemError(error)) throw error
    expect(error.code, error.message).toBe(code)
    expect(error.message, 'says more than a word').toMatch(/\S+ \S+ \S+/)
    return error
  }
  throw new Error(`expected a refusal with ${code}, but it was accepted: ${String(result)}`)
}

/** What a promise rejects with. Fails if it does not. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown
  try {
    result = await promise
  } catch (error) {
    return error
  }
  throw new Error(`expected a rejection, but it resolved: ${String(result)}`)
}
