import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type ServiceName, serviceNames } from '../src/environment.ts'
import { freePort } from '../testing/port.ts'

/** Resident memory of each process in bytes, by service. */
export type Memory = Record<string, number>

export interface Product {
  readonly url: string
  /** Seconds from the start of the slowest process to its first 200 of /health/ready. */
  readonly readySeconds: number
  memory(): Promise<Memory>
  /** @returns the exit status of each process */
  stop(): Promise<(number | null)[]>
}

/** BENCH_RELEASE measures another build, for comparison. */
const release = process.env.BENCH_RELEASE ?? fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** VmRSS of proc(5); NaN on other systems than Linux. */
const residentOf = async (pid: number | undefined): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024
}

const isReady = (url: string) =>
  fetch(`${url}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )

const launch = async (service: ServiceName | 'all', env: Record<string, string>) => {
  const started = performance.now()
  const child: ChildProcess = spawn(process.execPath, [release], {
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      METRICS_PORT: '0',
      // One client sends everything: the default limit would be the result.
      RATE_LIMIT_PER_MINUTE: '0',
      SERVICE: service,
      ...env,
    },
    // Each request is logged, as by default, but the log is discarded.
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const url = `http://127.0.0.1:${env.PORT}`
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`SERVICE=${service} ended with status ${child.exitCode}`)
    if (performance.now() - started > 60_000) throw new Error(`SERVICE=${service} is not ready after 60 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return { service, child, url, readySeconds: (performance.now() - started) / 1000 }
}
type Launched = Awaited<ReturnType<typeof launch>>

const together = (running: readonly Launched[], url: string): Product => ({
  url,
  readySeconds: Math.max(...running.map(({ readySeconds }) => readySeconds)),
  memory: async () =>
    Object.fromEntries(await Promise.all(running.map(async ({ service, child }) => [service, await residentOf(child.pid)]))),
  stop: async () => {
    for (const { child } of running) {
      if (child.exitCode !== null) continue
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    return running.map(({ child }) => child.exitCode)
  },
})

/** Starts one process of the release build. */
export const startOne = async (service: ServiceName | 'all', env: Record<string, string>): Promise<Product> => {
  const one = await launch(service, { ...env, PORT: String(await freePort()) })
  return together([one], one.url)
}

/** Starts the release build as one process. `env` has its database and its event backend. */
export const startTogether = (env: Record<string, string>): Promise<Product> => startOne('all', env)

/** Starts the release build as one process per service, one after the other, the gateway last. */
export const startSplit = async (env: Record<string, string>): Promise<Product> => {
  const ports = Object.fromEntries(await Promise.all(serviceNames.map(async (name) => [name, await freePort()] as const)))
  const urls = Object.fromEntries(
    serviceNames.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, `http://127.0.0.1:${ports[name]}`]),
  )
  const running: Launched[] = []
  try {
    for (const name of [...serviceNames.filter((service) => service !== 'gateway'), 'gateway'] as const)
      running.push(await launch(name, { ...env, ...urls, PORT: String(ports[name]) }))
  } catch (error) {
    await together(running, '').stop()
    throw error
  }
  return together(running, running.at(-1)?.url as string)
}
