import { cpus } from 'node:os'
import type { Memory } from './product.ts'

/** One run of one client program. Latencies in milliseconds. */
export interface Figures {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly errors: number
}

/** Two runs, one directly after the other. */
export interface Round {
  readonly product: Figures
  readonly pgbench: Figures | undefined
}

export interface Case {
  readonly name: string
  /** Minimum ratio; undefined if the requirements set none. */
  readonly floor: number | undefined
  readonly rounds: readonly Round[]
}

export interface Flood {
  /** 99th percentile of the order latency in milliseconds, in each round. */
  readonly before: readonly number[]
  readonly during: readonly number[]
  /** Number of login responses by status. */
  readonly logins: Readonly<Record<string, number>>
}

export interface TopologyReport {
  readonly name: string
  readonly events: 'Redis' | 'PostgreSQL'
  readonly readySeconds: number
  /** Bytes per process. */
  readonly memory: { readonly started: Memory; readonly highest: Memory; readonly after: Memory }
  /** For each round: events left in the outbox after the load, and seconds until it was empty. */
  readonly drains: readonly { readonly events: number; readonly seconds: number }[]
  readonly cases: readonly Case[]
  /** Number of orders, including pgbench's, without their two items or with a wrong total. */
  readonly torn: number
  /** Orders during 200 concurrent logins; undefined with AUTH=off. */
  readonly flood: Flood | undefined
}

export interface Report {
  readonly date: string
  readonly machine: string
  readonly versions: string
  readonly settings: string
  readonly writings: Readonly<Record<string, number>>
  readonly topologies: readonly TopologyReport[]
}

export const memoryFloorBytes = 180e6

/** `sorted` is in ascending order. */
export const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

export const ratiosOf = ({ rounds }: Case): number[] =>
  rounds.flatMap(({ product, pgbench }) => (pgbench ? [product.perSecond / pgbench.perSecond] : []))

const floorOfFlood = 1.5

/** p99 during the flood divided by p99 before, the median over the rounds. */
const floodRatio = ({ before, during }: Flood): number =>
  median(during.map((value, round) => value / (before[round] ?? Number.NaN)))

export const machine = (): string => `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores`

const middleOf = (figures: readonly Figures[]): Figures => ({
  perSecond: median(figures.map(({ perSecond }) => perSecond)),
  p50: median(figures.map(({ p50 }) => p50)),
  p99: median(figures.map(({ p99 }) => p99)),
  errors: figures.reduce((sum, { errors }) => sum + errors, 0),
})

const row = (cells: readonly (string | number)[]): string =>
  cells.map((cell, n) => (n < 3 ? String(cell).padEnd([13, 13, 9][n] ?? 0) : String(cell).padStart(10))).join(' ')

const figuresRow = (topology: string, name: string, who: string, figures: Figures, ratio = '') =>
  row([
    topology,
    name,
    who,
    figures.perSecond.toFixed(0),
    figures.p50.toFixed(2),
    figures.p99.toFixed(2),
    figures.errors,
    `${ratio.padStart(5)}`,
  ])

const caseRows = (topology: string, one: Case): string[] => {
  const benches = one.rounds.flatMap(({ pgbench }) => pgbench ?? [])
  const ratios = ratiosOf(one)
  const ratio = ratios.length > 0 ? median(ratios).toFixed(3) : ''
  const range = ratios.length > 1 ? `  ${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)}` : ''
  const met = ratios.length > 0 && one.floor !== undefined ? `  floor ${one.floor}: ${verdict(median(ratios) >= one.floor)}` : ''
  const product = middleOf(one.rounds.map(({ product }) => product))
  return [
    `${figuresRow(topology, one.name, 'OrderHub', product, ratio)}${range}${met}`,
    ...(benches.length > 0 ? [figuresRow(topology, one.name, 'pgbench', middleOf(benches))] : []),
  ]
}

const verdict = (met: boolean): string => (met ? 'met' : 'NOT MET')
const megabytes = (bytes: number): string => (Number.isNaN(bytes) ? 'unknown' : `${(bytes / 1e6).toFixed(0)} MB`)
const memoryText = (memory: Memory): string => {
  const parts = Object.entries(memory).map(([name, bytes]) => `${name} ${megabytes(bytes)}`)
  return parts.length === 1 ? parts.join().replace('all ', '') : parts.join(', ')
}

const floodLines = (flood: Flood | undefined): string[] =>
  flood
    ? [
        `  p99 of orders from two clients, ms: alone ${median(flood.before).toFixed(1)}, during 200 concurrent logins ${median(flood.during).toFixed(1)}`,
        `  ratio (median of the rounds): ${floodRatio(flood).toFixed(2)}  at most ${floorOfFlood}: ${verdict(floodRatio(flood) <= floorOfFlood)}`,
        `  login responses: ${Object.entries(flood.logins)
          .map(([status, count]) => `${count} with ${status}`)
          .join(', ')}`,
      ]
    : []

const topologyLines = ({ name, events, readySeconds, memory, drains, torn, flood }: TopologyReport): string[] => [
  `${name}: events through ${events}; ready after ${readySeconds.toFixed(2)} s${name === 'split' ? ' (the slowest process)' : ''}`,
  `  resident memory after the start: ${memoryText(memory.started)}`,
  `  highest: ${memoryText(memory.highest)}${name === 'one process' ? `  below 180 MB: ${verdict(withinMemory(memory.highest))}` : ''}`,
  `  after the load: ${memoryText(memory.after)}`,
  `  events left in the outbox after each create round, and the time until they were delivered: ${drains
    .map((drain) => `${drain.events} in ${drain.seconds.toFixed(1)} s`)
    .join(', ')}`,
  `  orders with missing items or a wrong total: ${torn}`,
  ...floodLines(flood),
]

const withinMemory = (memory: Memory): boolean => Object.values(memory).every((bytes) => bytes < memoryFloorBytes)

/** The report as text. */
export const describe = (report: Report): string =>
  [
    '',
    `${report.date}  ${report.machine}`,
    report.versions,
    report.settings,
    ...(Object.keys(report.writings).length > 0
      ? [
          `pgbench's ways to write an order, orders/s: ${Object.entries(report.writings)
            .map(([writing, perSecond]) => `${writing} ${perSecond.toFixed(0)}`)
            .join(', ')}; OrderHub is compared with the fastest`,
        ]
      : ['pgbench is not installed (Debian: apt install postgresql): there is no ratio']),
    '',
    row(['topology', 'case', 'client', 'requests/s', 'p50 ms', 'p99 ms', 'errors', 'ratio (median; range)']),
    ...report.topologies.flatMap(({ name, cases }) => cases.flatMap((one) => caseRows(name, one))),
    '',
    ...report.topologies.flatMap(topologyLines),
    '',
  ].join('\n')

/** Problems in the report: `errors` always fail; floors need an idle machine. */
export const problemsOf = ({ topologies }: Report): { errors: string[]; floors: string[] } => ({
  errors: topologies.flatMap(({ name, cases, torn }) => [
    ...cases
      .filter(({ rounds }) => rounds.some(({ product, pgbench }) => product.errors + (pgbench?.errors ?? 0) > 0))
      .map((one) => `${name}, ${one.name}: errors`),
    ...(torn > 0 ? [`${name}: ${torn} torn orders`] : []),
  ]),
  floors: topologies.flatMap(({ name, cases, memory, flood }) => [
    ...cases
      .filter((one) => one.floor !== undefined && ratiosOf(one).length > 0 && median(ratiosOf(one)) < one.floor)
      .map((one) => `${name}, ${one.name}: ratio ${median(ratiosOf(one)).toFixed(3)} is below ${one.floor}`),
    ...(flood && floodRatio(flood) > floorOfFlood
      ? [`${name}: orders wait ${floodRatio(flood).toFixed(2)} times as long during logins`]
      : []),
    ...(name === 'one process' && !withinMemory(memory.highest) ? [`${name}: resident memory is not below 180 MB`] : []),
  ]),
})
