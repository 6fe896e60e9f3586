import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { atEnd } from './at-end.ts'
import { eventually } from './eventually.ts'
import { freePort } from './port.ts'

/** Whether `pgbouncer` is installed. */
export const hasPgBouncer = (): boolean => spawnSync('pgbouncer', ['--version']).status === 0

export interface PgBouncer {
  /** Like the URL of the database behind it. */
  readonly url: string
  stop(): Promise<void>
}

/** A real PgBouncer in front of the database of `url`. `ignore`: startup parameters that it ignores. */
export const startPgBouncer = async (url: string, mode: 'session' | 'transaction', ignore: string): Promise<PgBouncer> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-pgbouncer-'))
  const root = userInfo().uid === 0
  await chmod(folder, 0o755)
  const { port, pathname, username, password } = new URL(url)
  const own = await freePort()
  await writeFile(join(folder, 'users.txt'), `"${username}" "${decodeURIComponent(password)}"\n`)
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: own,
    unix_socket_dir: '',
    auth_type: 'plain',
    auth_file: join(folder, 'users.txt'),
    pool_mode: mode,
    ignore_startup_parameters: ignore,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, `[databases]\n* = host=127.0.0.1 port=${port}\n[pgbouncer]\n${lines.join('\n')}\n`)
  // It refuses to run as root.
  const child = spawn('pgbouncer', [...(root ? ['-u', 'postgres'] : []), file], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.once(
    'exit',
    atEnd(() => child.kill('SIGKILL')),
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(output)
    return /listening on/i.test(output)
  })
  return {
    url: Object.assign(new URL(url), { port: String(own), pathname }).href,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}
