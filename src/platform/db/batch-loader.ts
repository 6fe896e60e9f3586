import { Failure } from '../errors.ts'

export interface CoalesceOptions {
  /** Maximum inputs per call. */
  readonly max: number
  /** Maximum concurrent calls. */
  readonly lanes: number
}

interface Waiting<I, O> {
  readonly input: I
  resolve(output: O): void
  reject(error: unknown): void
}

/**
 * Combines many calls into one: inputs that arrive while calls are in flight wait and then go together, so that under load many
 * requests share one statement and one commit. A single input does not wait. `run` returns one output for each input, in order.
 * An input never joins a call that has started: a read sees every write that was confirmed before it.
 */
export const coalesce = <I, O>(
  run: (inputs: readonly I[]) => Promise<readonly O[]>,
  { max, lanes }: CoalesceOptions,
): ((input: I) => Promise<O>) => {
  const waiting: Waiting<I, O>[] = []
  let busy = 0
  let scheduled = false

  const settle = async (batch: readonly Waiting<I, O>[]): Promise<void> => {
    try {
      const outputs = await run(batch.map(({ input }) => input))
      for (const [n, { resolve }] of batch.entries()) resolve(outputs[n] as O)
    } catch (error) {
      // One bad input must not fail the others; an unavailable database fails all.
      if (batch.length > 1 && !(error instanceof Failure)) await Promise.all(batch.map((one) => settle([one])))
      else for (const { reject } of batch) reject(error)
    }
  }

  const go = (): void => {
    scheduled = false
    while (busy < lanes && waiting.length > 0) {
      busy++
      void settle(waiting.splice(0, max)).finally(() => {
        busy--
        go()
      })
    }
  }

  return (input) =>
    new Promise((resolve, reject) => {
      waiting.push({ input, resolve, reject })
      // After the other work of this event loop iteration.
      if (!scheduled) setImmediate(go)
      scheduled = true
    })
}

/** Reads rows by their ids: concurrent reads share a statement. Returns rows in the order of the ids, without missing ones. */
export const readByIds = <T extends { readonly id: number }>(
  select: (ids: readonly number[]) => Promise<readonly T[]>,
): ((ids: readonly number[]) => Promise<T[]>) =>
  coalesce(
    async (lists) => {
      const found = new Map((await select([...new Set(lists.flat())])).map((row) => [row.id, row]))
      return lists.map((ids) => [...new Set(ids)].flatMap((id) => found.get(id) ?? []))
    },
    { max: 64, lanes: 4 },
  )
