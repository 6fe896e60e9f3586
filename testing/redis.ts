import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { atEnd } from './at-end.ts'
import { freePort } from './port.ts'

export interface TestRedis {
  readonly url: string
  readonly port: number
  /** Stops responding without closing connections, until `resume`. */
  pause(): void
  resume(): void
  /** Sends SIGKILL. */
  kill(): Promise<void>
  /** Restarts it on the same port, empty. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Whether `redis-server` is installed. */
export const hasRedis = (): boolean => spawnSync('redis-server', ['--version']).status === 0

const isAlive = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

/** Starts a real Redis without persistence; `args` are extra arguments for `redis-server`. */
export const startRedis = async (options: { port?: number; args?: readonly string[] } = {}): Promise<TestRedis> => {
  const port = options.port ?? (await freePort())
  const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]

  const launch = async () => {
    const child = spawn('redis-server', [...flags, ...(options.args ?? [])], { stdio: ['ignore', 'pipe', 'ignore'] })
    const output: string[] = []
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`redis-server did not start: ${output.join('')}`)))
      child.stdout.on('data', (chunk) => {
        output.push(String(chunk))
        if (output.join('').includes('Ready to accept connections')) resolve()
      })
    })
    child.stdout.removeAllListeners('data').resume()
    return child
  }

  let child = await launch()
  const forget = atEnd(() => child.kill('SIGKILL'))

  const kill = async () => {
    if (!isAlive(child)) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    kill,
    restart: async () => {
      await kill()
      child = await launch()
    },
    stop: async () => {
      forget()
      await kill()
    },
  }
}
