/**
 * What a client can do to the others with a request: the longest stall of the event loop, as the process itself measures it
 * (perf_hooks.monitorEventLoopDelay, read from its metrics), and the processor's time that one such request takes.
 */
import { Pool } from 'undici'
import { freePort } from '../test/support/port.ts'
import { type HostileRequest, hostileRequests } from './hostile-requests.ts'
import { startTogether } from './product.ts'
import { median } from './report.ts'

const crowd = 40
const turns = 40
export const stallFloorMs = 50

export interface HostileFigures {
  readonly name: string
  readonly bytes: number
  /** Of the answers; `closed` where the server ended the connection. */
  readonly statuses: string
  /** Milliseconds of the longest stall in each round: requests one after the other, and 40 at once. */
  readonly alone: readonly number[]
  readonly together: readonly number[]
  /** Milliseconds of one request, the median over the rounds; the process' own upkeep is in it. */
  readonly cpu: number
}

const sizeOf = ({ path, headers = {}, body = '' }: HostileRequest): number =>
  path.length + Buffer.byteLength(body) + Object.values(headers).reduce((sum, value) => sum + value.length, 0)

export interface HostileOptions {
  readonly env: Record<string, string>
  /** Of an administrator. */
  readonly headers: (keysDir: string) => Promise<Record<string, string>>
  readonly rounds: number
}

export const measureHostile = async ({ env, headers, rounds }: HostileOptions): Promise<HostileFigures[]> => {
  const metricsPort = await freePort()
  const product = await startTogether({ ...env, METRICS_PORT: String(metricsPort) })
  const client = new Pool(product.url, { connections: crowd, pipelining: 1 })
  try {
    const identity = await headers(env.KEYS_DIR as string)
    /** Reading the delay also resets it. */
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
    const atOnce = (request: HostileRequest) => Promise.all(Array.from({ length: crowd }, () => send(request)))

    for (const { name, ...request } of hostileRequests) await oneByOne({ name, ...request })
    const found: HostileFigures[] = []
    for (const request of hostileRequests) {
      statuses.clear()
      const [alone, together, cpu]: number[][] = [[], [], []]
      for (let round = 0; round < rounds; round++) {
        const before = await read()
        await oneByOne(request)
        const after = await read()
        await atOnce(request)
        alone?.push(after.stall)
        together?.push((await read()).stall)
        cpu?.push((after.cpu - before.cpu) / turns)
      }
      found.push({
        name: request.name,
        bytes: sizeOf(request),
        statuses: [...statuses].sort().join(' '),
        alone: alone ?? [],
        together: together ?? [],
        cpu: median(cpu ?? []),
      })
      process.stderr.write(`${request.name}: ${statuses.size} kinds of answer\n`)
    }
    return found
  } finally {
    await client.destroy()
    await product.stop()
  }
}

const shown = (values: readonly number[]): string =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)})`

/** A Markdown table. */
export const describeHostile = (figures: readonly HostileFigures[]): string =>
  [
    '| request | bytes | answers | longest stall, one by one, ms | 40 at once, ms | processor, ms a request |',
    '| --- | ---: | --- | ---: | ---: | ---: |',
    ...figures.map(
      ({ name, bytes, statuses, alone, together, cpu }) =>
        `| ${name} | ${bytes} | ${statuses} | ${shown(alone)} | ${shown(together)} | ${cpu.toFixed(2)} |`,
    ),
    '',
  ].join('\n')

/** A stall counts where it comes in most rounds: a busy machine makes others. */
export const stallsOf = (figures: readonly HostileFigures[]): string[] =>
  figures.flatMap(({ name, alone }) =>
    median(alone) > stallFloorMs ? [`${name}: the event loop stalls ${median(alone).toFixed(0)} ms`] : [],
  )
