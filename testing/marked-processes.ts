import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** How long a PostgreSQL gets to end by itself after the test that started it. */
const patienceMs = 5000

const isPostgres = (pid: number): boolean => {
  try {
    return /postgres/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false
  }
}

/** Processes of this account with this line in the environment that they were started with; Linux only. */
const processesWith = (variable: string): number[] => {
  let names: string[] = []
  try {
    names = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {} // Not Linux: what a test starts ends with the test there, unless that is killed.
  return names.map(Number).filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(variable)
    } catch {
      return false // Another account's, or it has ended.
    }
  })
}

const kill = (pids: readonly number[]): void => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // It has ended.
}

/** Ends every process that was started with this line in its environment, as in `TEST_RUN=/tmp/x`. */
export const endProcesses = async (variable: string): Promise<void> => {
  const deadline = Date.now() + patienceMs
  for (let left = processesWith(variable); left.length > 0; left = processesWith(variable)) {
    // A PostgreSQL that is killed leaves its shared memory; it stops when the test that it belongs to is gone.
    kill(Date.now() < deadline ? left.filter((pid) => !isPostgres(pid)) : left)
    await setTimeout(50)
  }
}
