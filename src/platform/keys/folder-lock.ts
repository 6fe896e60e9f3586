import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { KeysError } from './keys-error.ts'

const lockFile = '.lock'
const waitMs = 10_000
/** No change of keys takes this long: the holder has crashed, perhaps on another machine. */
const staleMs = 60_000

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const take = (path: string): boolean => {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new KeysError(`${path} cannot be written (${code})`)
    return false
  }
}

const removeStale = (path: string): void => {
  try {
    const old = Date.now() - statSync(path).mtimeMs > staleMs
    const holder = Number(readFileSync(path, 'utf8'))
    if (old || (holder > 0 && !isRunning(holder))) rmSync(path, { force: true })
  } catch {
    // Already removed.
  }
}

/** Runs `work` while no other process changes this folder. @throws KeysError if another one does for ten seconds */
export const withFolderLock = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
  const path = join(folder, lockFile)
  const deadline = Date.now() + waitMs
  while (!take(path)) {
    if (Date.now() > deadline) throw new KeysError(`${path} is locked: another process is changing these keys`)
    removeStale(path)
    await setTimeout(20)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}
