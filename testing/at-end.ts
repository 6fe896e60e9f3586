const works = new Set<() => void>()
const signals = ['SIGALRM', 'SIGHUP', 'SIGINT', 'SIGTERM'] as const

process.once('exit', () => {
  for (const work of works) work()
})
// A test that takes too long is ended by SIGALRM; without a handler the line above would not run.
for (const signal of signals) process.once(signal, () => process.exit(1))

/** Runs `work`, which must be synchronous, when this process ends early: what it started must not outlive it. Gives the way to undo. */
export const atEnd = (work: () => void): (() => void) => {
  works.add(work)
  return () => void works.delete(work)
}
