import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { DataKeySet } from '../keys/key-files.ts'
import { databaseFolder } from './data-folder.ts'

/** For databases whose DATA_DIR the account `postgres` cannot enter. Survives a reboot, and only root can write there. */
export const systemFolder = '/var/lib/orderhub'
/** In DATA_DIR: the path of a database elsewhere. Deleting DATA_DIR deletes it together with the keys of that database. */
const pointerName = 'postgres.location'
/** Beside a database elsewhere: its DATA_DIR. */
const belongsName = 'data-dir'

export interface Place {
  readonly directory: string
  /** Notes about other databases of this DATA_DIR. */
  readonly notes: readonly string[]
}

interface PlaceOptions {
  /** Whether PostgreSQL will run under the account `postgres`, because it refuses to run as root. */
  readonly root: boolean
  readonly systemFolder?: string
  readonly temporaryFolder?: string
}

export const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Of the cluster's login. */
export const passwordFile = (directory: string) => `${directory}.password`

export const holdsDatabase = (directory: string) => exists(join(directory, 'PG_VERSION'))

/** Whether any account can reach the path. */
export const isOpenToAll = async (path: string): Promise<boolean> => {
  for (let at = await realpath(path); at !== dirname(at); at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false
  }
  return true
}

const readLine = async (file: string): Promise<string | undefined> =>
  (await readFile(file, 'utf8').catch(() => undefined))?.trim() || undefined

/**
 * Where earlier versions put the database of a DATA_DIR, if it still exists and belongs to root: everybody can write to that
 * folder.
 */
const inTemporaryFolder = async (dataDir: string, folder: string): Promise<string | undefined> => {
  const hash = createHash('sha256').update(resolve(dataDir, databaseFolder)).digest('hex').slice(0, 12)
  const place = join(folder, `orderhub-data-${hash}`)
  const directory = join(place, databaseFolder)
  const owner = (await stat(place).catch(() => undefined))?.uid
  return owner === 0 && (await holdsDatabase(directory)) ? directory : undefined
}

/** Whether the keys of DATA_DIR belong to the database: keys are created before it. Later keys cannot decrypt its data. */
const keysFit = async (dataDir: string, directory: string): Promise<boolean> => {
  // Loaded only for old databases: it needs the cryptography.
  const { dataKeysFile, readJson } = await import('../keys/key-files.ts')
  const keys = join(dataDir, 'keys')
  if (!(await exists(join(keys, dataKeysFile)))) return (await readdir(dataDir)).length > 0
  const made = readJson<DataKeySet>(keys, dataKeysFile).keys.map(({ active_at }) => Date.parse(active_at))
  return Math.min(...made) <= (await stat(join(directory, 'PG_VERSION'))).mtimeMs
}

const unused = (directory: string, dataDir: string, why: string): string =>
  `a database that ${dataDir} had earlier is not used, ${why}: ${directory}; \`rm -rf ${dirname(directory)}\` removes it`

/** Databases elsewhere that were created for this DATA_DIR and are not the one in use. */
const orphans = async (folder: string, dataDir: string, used: string): Promise<string[]> => {
  const names = await readdir(folder).catch(() => [])
  const found: string[] = []
  for (const name of names) {
    const directory = join(folder, name, databaseFolder)
    if (directory === used || !(await holdsDatabase(directory))) continue
    if ((await readLine(join(folder, name, belongsName))) === dataDir) found.push(directory)
  }
  return found
}

const newPlaceElsewhere = async (folder: string, dataDir: string): Promise<string> => {
  const place = join(folder, randomUUID())
  // Before the pointer: a pointer to a missing folder means that the database was lost.
  await mkdir(place, { recursive: true, mode: 0o755 })
  await writeFile(join(place, belongsName), `${dataDir}\n`)
  return join(place, databaseFolder)
}

/** The existing database of DATA_DIR, wherever it is; undefined if there is none yet. */
export const knownDatabase = async (dataDir: string): Promise<string | undefined> => {
  const folder = await realpath(dataDir).catch(() => undefined)
  if (!folder) return undefined
  const pointed = await readLine(join(folder, pointerName))
  if (pointed) return pointed
  const own = join(folder, databaseFolder)
  return (await holdsDatabase(own)) ? own : undefined
}

/**
 * Where the database of a DATA_DIR is, or will be: in it, or, if PostgreSQL's account cannot enter it, in a system folder that
 * DATA_DIR names. An existing database decides; only the first start looks at folder permissions.
 * @throws Error with one line for a database that is lost, or that cannot be entered any more
 */
export const findPlace = async (dataDir: string, options: PlaceOptions): Promise<Place> => {
  const { root, systemFolder: system = systemFolder, temporaryFolder = tmpdir() } = options
  await mkdir(dataDir, { recursive: true, mode: 0o755 })
  const folder = await realpath(dataDir)
  const own = join(folder, databaseFolder)
  if (!root) return { directory: own, notes: [] }

  const pointer = join(folder, pointerName)
  const known = await knownDatabase(folder)
  const earlier = await inTemporaryFolder(dataDir, temporaryFolder)
  const elsewhere = async (directory: string): Promise<Place> => {
    const others = await orphans(system, folder, directory)
    return { directory, notes: others.map((other) => unused(other, folder, `its keys were deleted with ${folder}`)) }
  }

  if (known && known !== own) {
    if (await exists(dirname(known))) return elsewhere(known)
    throw new Error(
      `the database of ${folder} is missing: ${known} (named by ${pointer}); restore it, or delete ${folder} to begin again`,
    )
  }
  if (known) {
    if (!(await isOpenToAll(folder)))
      throw new Error(
        `the account postgres cannot enter ${folder} to reach its database: allow everybody to enter (chmod o+x) it and the folders above it`,
      )
    const use = `\`echo ${earlier} > ${pointer}\` uses it instead`
    return { directory: own, notes: earlier ? [`${unused(earlier, folder, 'since there is one in the folder')}, ${use}`] : [] }
  }
  if (earlier && (await keysFit(folder, earlier))) {
    await writeFile(pointer, `${earlier}\n`)
    const advice = `stop, move ${dirname(earlier)} to a place that stays, and write its new path into ${pointer}`
    return { directory: earlier, notes: [`the database is in the temporary folder, which a restart may empty: ${advice}`] }
  }
  const notes = earlier ? [unused(earlier, folder, `its keys were deleted with ${folder}`)] : []
  if (await isOpenToAll(folder)) return { directory: own, notes }
  const directory = await newPlaceElsewhere(system, folder)
  await writeFile(pointer, `${directory}\n`)
  const place = await elsewhere(directory)
  return { directory, notes: [...notes, ...place.notes] }
}
