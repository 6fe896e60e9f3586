/** `npm run bench`: see README.md in this folder. */
import { fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { serviceNames } from '../src/environment.ts'
import { initKeys } from '../src/platform/keys/key-files.ts'
import { signedIn } from '../testing/people.ts'
import { hasRedis, startRedis } from '../testing/redis.ts'
import { type Server, startServer, watchOrders } from './database.ts'
import { measureFlood } from './flood.ts'
import { describeHostile, measureHostile, stallsOf } from './hostile.ts'
import type { LoadOptions } from './load.ts'
import { findPgbench, type PgbenchOptions, type Writing, writings } from './pgbench.ts'
import { type Memory, type Product, startSplit, startTogether } from './product.ts'
import {
  describe,
  type Figures,
  type Flood,
  machine,
  problemsOf,
  type Report,
  type Round,
  type TopologyReport,
} from './report.ts'
import { measureSlowClients } from './slow-clients.ts'

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
    hostile: { type: 'boolean', default: false },
    slow: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
  },
})
const seconds = Number(flags.seconds ?? (flags.quick ? 2 : 10))
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3))
const warmupSeconds = Math.max(1, Math.round(seconds / 3))
const size = { connections: 10, users: 100, products: 100, accounts: 40 }

const send = async (url: string, method: string, path: string, body: unknown, headers: Record<string, string>) => {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${method} ${path} returned ${answer.status}: ${await answer.text()}`)
}

/** Creates the data through the API; the stock is enough for all rounds. */
const fill = async (url: string, headers: Record<string, string>) => {
  const add = (method: string, path: string, body: unknown) => send(url, method, path, body, headers)
  for (let n = 1; n <= size.users; n++)
    await add('POST', '/users', {
      name: `User ${n}`,
      email: `user${n}@example.com`,
      phone: `+8869${String(n).padStart(8, '0')}`,
    })
  for (let n = 1; n <= size.products; n++) {
    await add('POST', '/products', { sku: `P-${n}`, name: `Product ${n}`, price: n * 10 })
    await add('PUT', `/inventory/${n}`, { available: 1_000_000_000 })
  }
}

/** Creates accounts with passwords. */
const register = async (url: string, headers: Record<string, string>) => {
  const accounts = Array.from({ length: size.accounts }, (_, n) => ({
    email: `login${n}@example.com`,
    password: `a password for the benchmark ${n}`,
  }))
  for (const account of accounts) await send(url, 'POST', '/users', { name: 'Login', ...account }, headers)
  return accounts
}

const load = async (options: LoadOptions): Promise<Figures> => {
  const child = fork(fileURLToPath(new URL('./load.ts', import.meta.url)))
  child.send(options)
  return new Promise((resolve, reject) => {
    child.once('message', (figures) => resolve(figures as Figures))
    child.once('exit', (status) => reject(new Error(`the load ended with status ${status}`)))
  })
}

const watchMemory = (product: Product) => {
  const highest: Memory = {}
  const look = async () => {
    const now = await product.memory()
    for (const [name, bytes] of Object.entries(now)) highest[name] = Math.max(bytes, highest[name] ?? 0)
    return now
  }
  const timer = setInterval(look, 250)
  return { highest, look, stop: () => clearInterval(timer) }
}

/** pgbench's fastest way to write an order: measured once for all topologies. */
let tried: { readonly best: Writing; readonly perSecond: Record<string, number> } | undefined
const tryWritings = async (options: PgbenchOptions) => {
  const pgbench = await findPgbench(options)
  if (!pgbench) return undefined
  const perSecond: Record<string, number> = {}
  for (let round = 0; round < 2; round++) {
    for (const writing of writings) {
      const figures = await pgbench.create(writing, Math.max(2, seconds / 3))
      perSecond[writing] = Math.max(perSecond[writing] ?? 0, figures.perSecond)
    }
  }
  const best = writings.toSorted((a, b) => (perSecond[b] ?? 0) - (perSecond[a] ?? 0))[0] as Writing
  return { best, perSecond }
}

/** User 1, when authentication is on. */
const administrator = { email: 'admin@example.com', password: 'a password for the benchmark' }

interface Topology {
  readonly name: TopologyReport['name']
  readonly events: TopologyReport['events']
  readonly floors: { readonly create?: number; readonly read?: number }
  /** Every request carries a token and is authorized; otherwise AUTH=off. */
  readonly signedIn: boolean
  readonly databases: (server: Server) => Promise<Record<string, string>>
  readonly start: (env: Record<string, string>) => Promise<Product>
}

const measure = async (topology: Topology, server: Server, env: Record<string, string>): Promise<TopologyReport> => {
  const databases = await topology.databases(server)
  const databaseUrl = databases.ORDER_DATABASE_URL ?? databases.DATABASE_URL ?? ''
  const pgbench = await findPgbench({ databaseUrl, ...size })
  const orders = watchOrders(databaseUrl)
  const identity: Record<string, string> = topology.signedIn
    ? { NODE_ENV: 'production', ADMIN_EMAIL: administrator.email, ADMIN_PASSWORD: administrator.password }
    : { AUTH: 'off' }
  const product = await topology.start({ ...databases, ...env, ...identity })
  const memory = watchMemory(product)
  try {
    const started = await memory.look()
    const headers = topology.signedIn ? await signedIn(env.KEYS_DIR as string, 1) : {}
    await fill(product.url, headers)
    tried ??= await tryWritings({ databaseUrl, ...size })
    const common = { url: product.url, ...size, seconds, headers }
    const creating: Round[] = []
    const reading: Round[] = []
    const drains: { events: number; seconds: number }[] = []
    for (let round = 1; round <= rounds; round++) {
      await orders.tidy()
      const created = await load({ ...common, kind: 'create', orders: 0, warmupSeconds })
      drains.push(await orders.drain())
      await orders.tidy()
      creating.push({ product: created, pgbench: tried && (await pgbench?.create(tried.best, seconds)) })
      process.stderr.write(`${topology.name}, create, round ${round} of ${rounds}: ${created.perSecond.toFixed(0)}/s\n`)
    }
    await orders.tidy()
    const { last, missing } = await orders.orders()
    for (let round = 1; round <= rounds; round++) {
      const read = await load({ ...common, kind: 'read', orders: last, missing, warmupSeconds })
      reading.push({ product: read, pgbench: await pgbench?.read(last, seconds) })
      process.stderr.write(`${topology.name}, read, round ${round} of ${rounds}: ${read.perSecond.toFixed(0)}/s\n`)
    }
    let flood: Flood | undefined
    if (topology.signedIn) {
      await orders.tidy()
      const accounts = await register(product.url, headers)
      const options: LoadOptions = { ...common, kind: 'create', orders: 0, warmupSeconds }
      flood = await measureFlood({ url: product.url, accounts, load, options, rounds })
    }
    return {
      name: topology.name,
      events: topology.events,
      readySeconds: product.readySeconds,
      memory: { started, after: await memory.look(), highest: memory.highest },
      drains,
      cases: [
        { name: 'create order', floor: topology.floors.create, rounds: creating },
        { name: 'read order', floor: topology.floors.read, rounds: reading },
      ],
      torn: await orders.torn(),
      flood,
    }
  } finally {
    memory.stop()
    await product.stop()
    await orders.close()
  }
}

const topologies = (redisUrl: string | undefined): Topology[] => [
  {
    name: 'one process',
    events: 'PostgreSQL',
    floors: { create: 0.2, read: 0.15 },
    signedIn: false,
    databases: (server) => server.shared('bench_one'),
    start: startTogether,
  },
  {
    name: 'signed in',
    events: 'PostgreSQL',
    floors: {},
    signedIn: true,
    databases: (server) => server.shared('bench_signed_in'),
    start: startTogether,
  },
  {
    name: 'split',
    events: redisUrl ? 'Redis' : 'PostgreSQL',
    floors: {},
    signedIn: false,
    databases: (server) => server.separate('bench_split'),
    start: (env) => startSplit({ ...env, ...(redisUrl ? { REDIS_URL: redisUrl } : {}) }),
  },
]

const server = await startServer()
const redis = hasRedis() ? await startRedis() : undefined
const dataDir = await mkdtemp(join(tmpdir(), 'orderhub-bench-data-'))
const keysDir = join(dataDir, 'keys')
await initKeys(keysDir, serviceNames)
/** Measures only hostile requests; exit status 1 if one stalls the process. */
const runHostile = async (env: Record<string, string>) => {
  const identity = { NODE_ENV: 'production', ADMIN_EMAIL: administrator.email, ADMIN_PASSWORD: administrator.password }
  const databases = await server.shared('bench_hostile')
  const headers = (folder: string) => signedIn(folder, 1)
  const chosen = (name: string) => !flags.only || flags.only.some((part) => name.includes(part))
  const figures = await measureHostile({ env: { ...databases, ...env, ...identity, SEED: 'true' }, headers, rounds, chosen })
  process.stdout.write(describeHostile(figures))
  const stalls = stallsOf(figures)
  for (const stall of stalls) console.error(stall)
  if (stalls.length > 0) process.exitCode = 1
}

/** Measures only clients that do not read, or that send too many requests. */
const runSlow = async (env: Record<string, string>) => {
  const databases = await server.shared('bench_slow')
  const chosen = (name: string) => flags.only?.some((part) => name.includes(part)) ?? true
  process.stdout.write(
    await measureSlowClients({ env: { ...databases, ...env, AUTH: 'off', SEED: 'true' }, headers: {}, chosen }),
  )
}

const runAll = async (env: Record<string, string>) => {
  const reports: TopologyReport[] = []
  for (const topology of topologies(redis?.url).filter(({ name }) => !flags.only || flags.only.includes(name)))
    reports.push(await measure(topology, server, env))
  const pgbench = await findPgbench({ databaseUrl: 'postgres://none', ...size })
  const report: Report = {
    date: new Date().toISOString(),
    machine: machine(),
    versions: `Node.js ${process.versions.node}, PostgreSQL ${server.version}, ${pgbench?.version ?? 'no pgbench'}`,
    settings: `${size.connections} connections, ${rounds} rounds of ${seconds} s each, LOG_LEVEL info to /dev/null, no rate limit, messages written to files`,
    writings: tried?.perSecond ?? {},
    topologies: reports,
  }
  process.stdout.write(describe(report))
  if (flags.json) await writeFile(flags.json, `${JSON.stringify(report, null, 2)}\n`)
  const { errors, floors } = problemsOf(report)
  const problems = [...errors, ...(flags.check ? floors : [])]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}

try {
  const env = { DATA_DIR: dataDir, KEYS_DIR: keysDir }
  if (flags.slow) await runSlow(env)
  else await (flags.hostile ? runHostile(env) : runAll(env))
} finally {
  await redis?.stop()
  await server.stop()
  await rm(dataDir, { recursive: true, force: true })
}
