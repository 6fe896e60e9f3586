const works = new Set<() => void>()
const signals = ['SIGALRM', 'SIGHUP', 'SIGINT', 'SIGTERM'] as const

process.once('exit', () => {
  for (const work of works) work()
})
// A test that takes too long gets SIGALRM; without a handler, no 'exit' event would be emitted.
for (const signal of signals) process.once(signal, () => process.exit(1))

/**
 * Runs `work`, which must be synchronous, if this process ends early: its child processes must not outlive it.
 * @returns a function that cancels this
 */
export const atEnd = (work: () => void): (() => void) => {
  works.add(work)
  return () => void works.delete(work)
}
