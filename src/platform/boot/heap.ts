/** What V8 may take for short-lived objects, and what for all others, in MiB; the second also makes it collect sooner. */
const limits = ['--max-semi-space-size=4', '--max-old-space-size=512']
const ownLimits = /--max[-_](semi[-_]space|old[-_]space|heap)[-_]size/

/**
 * Starts this process anew, with the same id, under limits of the heap that fit a service of 50 MB: without them Node.js
 * (24.21) takes 134 MB for short-lived objects alone, and they can be set only before it starts. Does nothing where
 * somebody has set limits, where a parent talks to this process (node --watch), and on Windows.
 */
export const limitHeap = (env: Readonly<Record<string, string | undefined>>): void => {
  const given = [...process.execArgv, env.NODE_OPTIONS ?? ''].some((option) => ownLimits.test(option))
  if (given || process.send || !process.execve || process.platform === 'win32') return
  process.execve(process.execPath, [process.execPath, ...limits, ...process.execArgv, ...process.argv.slice(1)])
}
