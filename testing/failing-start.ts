/**
 * A process for starts that must fail; it must then end by itself. Argument: a list of `FailingStart` as JSON. For each it
 * prints a `FailedStart` as a line of JSON.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import postgres from 'postgres'
import { loadModule } from '../src/app/module-graph.ts'
import { start } from '../src/app/start.ts'
import type { ModuleName } from '../src/registry.ts'
import { eventually } from './eventually.ts'

export interface FailingStart {
  readonly env: Readonly<Record<string, string>>
  /** The function of a module that fails, such as `order.create`. */
  readonly fault?: `${ModuleName}.${string}`
  /** Name of another database on the same server. */
  readonly observerUrl: string
}

export interface FailedStart {
  readonly failure: string
  /** Resources that the process has opened and not closed, by Node's names. */
  readonly open: readonly string[]
  /** Open connections to the database. */
  readonly connections: number
}

const closesWithinMs = 3000

/** Makes a module fail after it has opened everything. @returns a function that undoes this */
const spoil = async (fault: NonNullable<FailingStart['fault']>): Promise<() => void> => {
  const [name, member = ''] = fault.split('.') as [ModuleName, string]
  const definition = await loadModule(name)
  const { create } = definition
  const fail = (): never => {
    throw new Error(`${fault} fails on purpose`)
  }
  Object.assign(definition, {
    create: async (context: Parameters<typeof create>[0]) => {
      const instance = await create(context)
      return member === 'create' ? fail() : { ...instance, [member]: fail }
    },
  })
  return () => Object.assign(definition, { create })
}

/** Node's list lacks timers that do not keep the process alive. Timers of libraries do not count: metrics always have one. */
const intervals = new Set<unknown>()
const { setInterval: set, clearInterval: clear } = globalThis
globalThis.setInterval = ((...args: Parameters<typeof set>) => {
  const timer = set(...args)
  const [, , caller = ''] = new Error().stack?.split('\n') ?? []
  if (!caller.includes('/node_modules/')) intervals.add(timer)
  return timer
}) as typeof set
globalThis.clearInterval = (timer) => {
  intervals.delete(timer)
  clear(timer)
}

/** A closed connection stays in the server's list for a moment. */
const connectionsTo = async (databaseUrl: string, observerUrl: string): Promise<number> => {
  const observer = postgres(observerUrl, { max: 1, onnotice: () => {} })
  const database = new URL(databaseUrl).pathname.slice(1)
  let count = 0
  for (let tries = 0; tries < 20; tries++) {
    const [row] = await observer`select count(*)::int as count from pg_stat_activity where datname = ${database}`
    count = row?.count
    if (count === 0) break
    await pause(50)
  }
  await observer.end()
  return count
}

const openSince = (before: readonly string[]): string[] => {
  const open = process.getActiveResourcesInfo()
  for (const one of before) if (open.includes(one)) open.splice(open.indexOf(one), 1)
  return [...open, ...[...intervals].map(() => 'Interval')]
}

/** Closed resources leave the list a moment later: a socket when the other side has closed it too. */
const remaining = async (before: readonly string[]): Promise<string[]> => {
  // What a failed start leaves behind may open a moment later.
  await pause(20)
  await eventually(() => openSince(before).length === 0, { timeoutMs: closesWithinMs }).catch(() => {})
  return openSince(before)
}

const failedStart = async ({ env, fault, observerUrl }: FailingStart): Promise<FailedStart> => {
  const restore = fault && (await spoil(fault))
  const before = process.getActiveResourcesInfo()
  intervals.clear()
  const failure = await start(env, pino({ level: 'silent' }), undefined).then(
    () => 'it started',
    (error: Error) => error.message,
  )
  restore?.()
  const open = await remaining(before)
  return { failure, open, connections: env.DATABASE_URL ? await connectionsTo(env.DATABASE_URL, observerUrl) : 0 }
}

// The first use opens standard output.
process.stdout.write('\n')
for (const each of JSON.parse(process.argv[2] ?? '[]')) console.log(JSON.stringify(await failedStart(each)))
