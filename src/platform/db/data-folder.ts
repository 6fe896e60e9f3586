import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** The folder of the database below DATA_DIR. PostgreSQL starts only under the account that owns it. */
export const databaseFolder = 'postgres'

/** The numeric id of an account; undefined if there is none. */
export const accountId = (name: string): Promise<number | undefined> =>
  promisify(execFile)('id', ['-u', name]).then(
    ({ stdout }) => Number(stdout),
    () => undefined,
  )

const nameOf = (uid: number, postgres: number | undefined): string => {
  if (uid === 0 || uid === postgres) return 'root'
  return `the account with the id ${uid}`
}

/** The account that owns the folder or one of its entries, if this process cannot use it. */
const foreignOwner = async (folder: string, own: number, withDatabase: boolean): Promise<number | undefined> => {
  const usable = (path: string, mode: number) =>
    access(path, mode).then(
      () => true,
      () => false,
    )
  const found = await stat(folder).catch(() => undefined)
  if (!found) return undefined
  if (!(await usable(folder, constants.R_OK | constants.W_OK | constants.X_OK))) return found.uid
  const databaseOwner = own === 0 ? await accountId('postgres') : own
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const { uid } = await stat(path).catch(() => found)
    if (name !== databaseFolder && !(await usable(path, constants.R_OK))) return uid
    if (name === databaseFolder && withDatabase && uid !== databaseOwner) return uid
  }
  return undefined
}

/**
 * An error line if DATA_DIR has keys or a database of another account, which this account cannot use; undefined if all is well,
 * and on Windows. `withDatabase`: whether the embedded database will be started.
 */
export const whyNotOurs = async (dataDir: string, withDatabase = true): Promise<string | undefined> => {
  const own = process.getuid?.()
  if (own === undefined) return undefined
  const folder = resolve(dataDir)
  const owner = await foreignOwner(folder, own, withDatabase)
  if (owner === undefined) return undefined
  const name = nameOf(owner, await accountId('postgres'))
  return `${folder} was filled by ${name} and cannot be used by this account: start as ${name}, or set DATA_DIR to another folder`
}
