import { Failure } from '../errors.ts'

export interface CoalesceOptions {
  /** Inputs of one call, at the most. */
  readonly max: number
  /** Calls under way at once, at the most. */
  readonly lanes: number
}

interface Waiting<I, O> {
  readonly input: I
  resolve(output: O): void
  reject(error: unknown): void
}

/**
 * Makes one call of many: inputs that come while calls are under way wait and then go together, so that under load many
 * requests share one statement and one commit, and a single one waits for nobody. `run` answers one output for each input,
 * in order. An input never joins a call that has started: a read sees every write that was answered before it.
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
      // The fault of one input must not be everybody's; a database that is away is.
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
      // After what else this turn of the event loop brings.
      if (!scheduled) setImmediate(go)
      scheduled = true
    })
}

/** Reads rows by their ids: lists that come at once share a statement. Rows come in the order of the ids, missing ones left out. */
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
