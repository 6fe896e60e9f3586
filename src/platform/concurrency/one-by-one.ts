import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from 'cockatiel'
import { fail } from '../errors.ts'

/**
 * Runs work for one key sequentially, in the order of arrival; other keys do not wait for it. At most `waiting` pieces wait per
 * key. For changes that read a row before they write it: concurrently, they would undo each other's work, and the number of
 * statements would grow with the square.
 */
export const createOneByOne = <K>(waiting: number) => {
  const gates = new Map<K, BulkheadPolicy>()

  /** @param deadline epoch milliseconds. @throws database.busy when too many wait, or the turn comes too late */
  return async <T>(key: K, deadline: number, work: () => Promise<T>): Promise<T> => {
    const gate = gates.get(key) ?? bulkhead(1, waiting)
    gates.set(key, gate)
    try {
      return await gate.execute(() => {
        if (Date.now() >= deadline) throw fail('database.busy')
        return work()
      })
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? fail('database.busy') : error
    } finally {
      if (gate.executionSlots === 1 && gates.get(key) === gate) gates.delete(key)
    }
  }
}
