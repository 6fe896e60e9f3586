/**
 * Measures how a hostile request affects other clients: the longest event loop stall, as the process itself measures it
 * (perf_hooks.monitorEventLoopDelay, read from its metrics), and the CPU time per request.
 */
import { Pool } from 'undici'
import { freePort } from '../testing/port.ts'
import { type HostileRequest, hostileRequests } from './hostile-requests.ts'
import { startTogether } from './product.ts'
import { median } from './report.ts'

const crowd = 40
const turns = 40
export const stallFloorMs = 50

export interface HostileFigures {
  readonly name: string
  readonly bytes: number
  /** Statuses of the responses; `closed` if the server closed the connection. */
  readonly statuses: string
  /** Milliseconds of the longest stall in each round, for sequential requests and for 40 concurrent ones. */
  readonly alone: readonly number[]
  readonly together: readonly number[]
  /** Milliseconds of the longest wait of another client, which reads a product during these 40. */
  readonly waits: readonly number[]
  /** CPU milliseconds per request, the median over the rounds; includes background work of the process. */
  readonly cpu: number
}

const sizeOf = ({ path, headers = {}, body = '' }: HostileRequest): number =>
  path.length + Buffer.byteLength(body) + Object.values(headers).reduce((sum, value) => sum + value.length, 0)

export interface HostileOptions {
  readonly env: Record<string, string>
  /** Headers of an administrator. */
  readonly headers: (keysDir: string) => Promise<Record<string, string>>
  readonly rounds: number
  readonly chosen: (name: string) => boolean
}

export const measureHostile = async ({ env, headers, rounds, chosen }: HostileOptions): Promise<HostileFigures[]> => {
  const metricsPort = await freePort()
  const product = await startTogether({ ...env, METRICS_PORT: String(metricsPort) })
  const client = new Pool(product.url, { connections: crowd, pipelining: 1 })
  const other = new Pool(product.url, { connections: 1, pipelining: 1 })
  try {
    const identity = await headers(env.KEYS_DIR as string)
    /** Reading the metrics also resets the delay. */
    const read = async () => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      const value = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]) * 1000
      return { stall: value('nodejs_eventloop_lag_max_seconds'), cpu: value('process_cpu_seconds_total') }
    }
    const statuses = new Set<string>()
    const send = async ({ method = 'POST', path, headers = {}, body }: HostileRequest) => {
      const type = body === undefined ? {} : { 'content-type': 'application/json' }
      try {
        const answer = await client.request({ method, path, headers: { ...identity, ...type, ...headers }, body: body ?? null })
        await answer.body.dump()
        statuses.add(String(answer.statusCode))
      } catch {
        statuses.add('closed')
      }
    }
    const oneByOne = async (request: HostileRequest) => {
      for (let n = 0; n < turns; n++) await send(request)
    }
    const usual = async () => {
      const started = performance.now()
      const answer = await other.request({ method: 'GET', path: '/api/v1/products/1', headers: identity })
      await answer.body.dump()
      if (answer.statusCode !== 200) throw new Error(`the usual request returns ${answer.statusCode}`)
      return performance.now() - started
    }
    /** @returns the longest wait of another client until the last response */
    const atOnce = async (request: HostileRequest): Promise<number> => {
      let left = crowd
      const all = Array.from({ length: crowd }, () => send(request).finally(() => left--))
      let longest = 0
      do longest = Math.max(longest, await usual())
      while (left > 0)
      await Promise.all(all)
      return longest
    }

    const requests = hostileRequests.filter(({ name }) => chosen(name))
    for (const request of requests) await oneByOne(request)
    const found: HostileFigures[] = []
    for (const request of requests) {
      statuses.clear()
      const [alone, together, waits, cpu] = [[], [], [], []] as [number[], number[], number[], number[]]
      for (let round = 0; round < rounds; round++) {
        const before = await read()
        await oneByOne(request)
        const after = await read()
        waits.push(await atOnce(request))
        alone.push(after.stall)
        together.push((await read()).stall)
        cpu.push((after.cpu - before.cpu) / turns)
      }
      found.push({
        name: request.name,
        bytes: sizeOf(request),
        statuses: [...statuses].sort().join(' '),
        alone,
        together,
        waits,
        cpu: median(cpu),
      })
      process.stderr.write(`${request.name}: ${statuses.size} different statuses\n`)
    }
    return found
  } finally {
    await client.destroy()
    await other.destroy()
    await product.stop()
  }
}

const shown = (values: readonly number[]): string =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)})`

/** A Markdown table. */
export const describeHostile = (figures: readonly HostileFigures[]): string =>
  [
    '| request | bytes | statuses | longest stall, sequential, ms | 40 at once, ms | longest wait of another client, ms | CPU, ms per request |',
    '| --- | ---: | --- | ---: | ---: | ---: | ---: |',
    ...figures.map(
      ({ name, bytes, statuses, alone, together, waits, cpu }) =>
        `| ${[name, bytes, statuses, shown(alone), shown(together), shown(waits), cpu.toFixed(2)].join(' | ')} |`,
    ),
    '',
  ].join('\n')

/** A stall counts if it occurs in most rounds: a busy machine causes single ones. */
export const stallsOf = (figures: readonly HostileFigures[]): string[] =>
  figures.flatMap(({ name, alone, together }) => {
    const longest = Math.max(median(alone), median(together))
    return longest > stallFloorMs ? [`${name}: the event loop stalls ${longest.toFixed(0)} ms`] : []
  })
