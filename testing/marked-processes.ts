import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** Time that a PostgreSQL has to stop by itself after the test that started it. */
const patienceMs = 5000

const isPostgres = (pid: number): boolean => {
  try {
    return /postgres/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false
  }
}

/** Processes of this account that were started with this line in their environment; Linux only. */
const processesWith = (variable: string): number[] => {
  let names: string[] = []
  try {
    names = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {} // Not Linux: child processes end with their test there, unless the test is killed.
  return names.map(Number).filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(variable)
    } catch {
      return false // The process belongs to another account, or has ended.
    }
  })
}

const kill = (pids: readonly number[]): void => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // The process has ended.
}

/** Ends every process that was started with this line in its environment, such as `TEST_RUN=/tmp/x`. */
export const endProcesses = async (variable: string): Promise<void> => {
  const deadline = Date.now() + patienceMs
  for (let left = processesWith(variable); left.length > 0; left = processesWith(variable)) {
    // A killed PostgreSQL leaves its shared memory behind. It stops by itself after its test has ended.
    kill(Date.now() < deadline ? left.filter((pid) => !isPostgres(pid)) : left)
    await setTimeout(50)
  }
}
