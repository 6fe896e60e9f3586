import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { atEnd } from './at-end.ts'
import { childEnvironment } from './child-environment.ts'
import { eventually } from './eventually.ts'
import { freePort } from './port.ts'
import { program } from './start.ts'

export interface ServiceProcess {
  readonly name: string
  readonly url: string
  readonly port: number
  /** Its standard output and standard error so far. */
  output(): string
  /** Sends SIGKILL and waits until it has ended. */
  kill(): Promise<void>
  /** Sends SIGTERM and waits until it has ended. @returns the exit status */
  stop(): Promise<number | null>
  /** Restarts it with the same environment and port. */
  restart(): Promise<void>
  alive(): boolean
  /** Sends SIGSTOP: it keeps its connections and does nothing until `resume`. */
  pause(): void
  resume(): void
}

const isAlive = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

const isReady = (url: string) =>
  fetch(`${url}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )

/** A real process of `SERVICE=<name>` with exactly the given environment; resolves when it is ready. */
export const startService = async (name: string, env: Record<string, string> = {}): Promise<ServiceProcess> => {
  const port = env.PORT ? Number(env.PORT) : await freePort()
  const url = `http://127.0.0.1:${port}`
  let output = ''
  let child: ChildProcess

  const launch = async () => {
    child = spawn(process.execPath, program, {
      env: {
        ...childEnvironment(),
        SERVICE: name,
        PORT: String(port),
        METRICS_PORT: '0',
        LOG_LEVEL: 'warn',
        RATE_LIMIT_PER_MINUTE: '0',
        AUTH: 'off',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout?.on('data', (chunk) => {
      output += chunk
    })
    child.stderr?.on('data', (chunk) => {
      output += chunk
    })
    const started = child
    started.once(
      'exit',
      atEnd(() => started.kill('SIGKILL')),
    )
    const readyOrEnded = async () => !isAlive(started) || ((await isReady(url)) && 'ready')
    if ((await eventually(readyOrEnded, { timeoutMs: 180_000 }).catch(() => {})) === 'ready') return
    started.kill('SIGKILL')
    throw new Error(`${name} did not become ready: ${output}`)
  }
  const alive = () => isAlive(child)
  const end = async (signal: NodeJS.Signals) => {
    if (!alive()) return
    child.kill(signal)
    await once(child, 'exit')
  }

  await launch()
  return {
    name,
    url,
    port,
    output: () => output,
    alive,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM')
      return child.exitCode
    },
    restart: launch,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  }
}

/** Runs `SERVICE=<name>` until it ends by itself, for starts that must fail. */
export const runToEnd = async (
  name: string,
  env: Record<string, string> = {},
): Promise<{ status: number | null; output: string }> => {
  const child = spawn(process.execPath, program, {
    env: { ...childEnvironment(), SERVICE: name, PORT: '0', METRICS_PORT: '0', LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const [status] = await once(child, 'exit')
  return { status, output }
}
