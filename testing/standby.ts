import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../src/platform/db/embedded-postgres.ts'
import { atEnd } from './at-end.ts'
import { childEnvironment } from './child-environment.ts'
import { eventually } from './eventually.ts'
import { freePort } from './port.ts'

export interface ReplicatedPostgres {
  /** URLs of the first primary and of its standby. */
  readonly url: string
  readonly standbyUrl: string
  /** Stops the primary cleanly, so that the standby has everything, and restarts it on its port as a standby of the other. */
  demote(): Promise<void>
  /** Makes the standby the primary. */
  promote(): Promise<void>
  stop(): Promise<void>
}

const ask = async <T extends object>(url: string, text: string): Promise<T[]> => {
  const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 2 })
  try {
    return [...(await sql.unsafe<T[]>(text))]
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const answers = (url: string) => eventually(async () => void (await ask(url, 'select 1')), { timeoutMs: 30_000, everyMs: 100 })

/** Two real PostgreSQL servers with streaming replication. Linux only: it finds the program through /proc. */
export const startReplicatedPostgres = async (): Promise<ReplicatedPostgres> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-replicated-'))
  await chmod(folder, 0o755)
  const flags = ['-c', 'fsync=off', '-c', 'wal_keep_size=512MB']
  const server = await startEmbeddedPostgres(folder, flags)
  const [pid] = (await readFile(join(server.directory, 'postmaster.pid'), 'utf8')).split('\n')
  const program = await readlink(`/proc/${pid}/exe`)
  const { uid, gid } = await stat(server.directory)
  const firstPort = Number(new URL(server.url).port)
  const port = await freePort()
  const standbyUrl = Object.assign(new URL(server.url), { port: String(port) }).href
  const children: ChildProcess[] = []

  /** Starts the cluster in `directory` as a standby of the one on `primary`. */
  const startStandby = async (directory: string, own: number, primary: number) => {
    const { username, password } = new URL(server.url)
    const source = `host=127.0.0.1 port=${primary} user=${username} password=${password}`
    await writeFile(join(directory, 'standby.signal'), '')
    const more = [
      'max_connections=200',
      `port=${own}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      `primary_conninfo=${source}`,
    ]
    const options = ['-D', directory, ...flags, ...more.flatMap((setting) => ['-c', setting])]
    const child = spawn(program, options, { uid, gid, stdio: 'ignore', env: { ...childEnvironment(), LC_ALL: 'C' } })
    child.once(
      'exit',
      atEnd(() => child.kill('SIGKILL')),
    )
    children.push(child)
    await answers(own === firstPort ? server.url : standbyUrl)
  }

  const directory = join(folder, 'standby')
  const sql = postgres(server.url, { max: 1, onnotice: () => {} })
  await sql`select pg_backup_start('standby', true)`
  await cp(server.directory, directory, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.includes('postmaster'),
  })
  const [label] = await sql<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`
  await sql.end()
  await writeFile(join(directory, 'backup_label'), label?.labelfile ?? '')
  await new Promise((resolve) => spawn('chown', ['-R', `${uid}:${gid}`, directory]).once('exit', resolve))
  await chmod(directory, 0o700)
  await startStandby(directory, port, firstPort)

  return {
    url: server.url,
    standbyUrl,
    demote: async () => {
      await server.stop()
      await startStandby(server.directory, firstPort, port)
    },
    promote: async () => {
      await ask(standbyUrl, 'select pg_promote()')
    },
    stop: async () => {
      await server.stop()
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const gone = once(child, 'exit')
        child.kill('SIGQUIT')
        await gone
      }
      await rm(folder, { recursive: true, force: true })
      await rm(dirname(server.directory), { recursive: true, force: true })
    },
  }
}
