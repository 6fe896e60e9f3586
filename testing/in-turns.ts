/** Runs `work` for each item, with limited concurrency. */
export const inTurns = async <T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = []
  const entries = items.entries()
  const worker = async () => {
    for (const [n, item] of entries) results[n] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}
