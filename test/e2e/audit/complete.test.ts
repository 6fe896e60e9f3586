import { randomInt } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { isSigned } from '../../../src/platform/audit/entry.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { amounts } from '../../../testing/amounts.ts'
import { eventually } from '../../../testing/eventually.ts'
import { createRandom } from '../../../testing/random.ts'
import type { ServiceProcess } from '../../../testing/service.ts'
import { type System, startSystem } from '../../../testing/system.ts'
import { trailReader } from '../../../testing/trail.ts'
import { makeChanges } from '../../chaos/changes.ts'

t.setTimeout(600_000)

const { changesAmongKills: count, killsAmongChanges: leastKills } = amounts
const killEveryMs = 500
/** A killed consumer's job is free after 15 s; a row that a killed relay had claimed, another 15 s later. */
const tailMs = 90_000

/** The tables with the versions of each type of resource. */
const tables = [
  { module: 'user', type: 'user', table: 'users.users', id: 'id' },
  { module: 'product', type: 'product', table: 'products.products', id: 'id' },
  { module: 'order', type: 'order', table: 'orders.orders', id: 'id' },
  { module: 'order', type: 'inventory', table: 'orders.stock', id: 'product_id' },
] as const

/** Reads the version of every row by `type id`, and counts the events that are not delivered. */
const openBooks = (t: Test, system: System) => {
  const databases = new Map(
    (['user', 'product', 'order', 'notification'] as const).map((module) => {
      const sql = postgres(system.databaseUrl(module), { max: 1, onnotice: () => {} })
      t.teardown(() => sql.end())
      return [module, sql] as const
    }),
  )
  return {
    versions: async (): Promise<Map<string, number>> => {
      const rows = await Promise.all(
        tables.map(async ({ module, type, table, id }) => {
          const found = await (databases.get(module) as postgres.Sql).unsafe<{ id: number; version: number }[]>(
            `select ${id} as id, version from ${table}`,
          )
          return found.map((row) => [`${type} ${row.id}`, row.version] as const)
        }),
      )
      return new Map(rows.flat())
    },
    undelivered: async (): Promise<number> => {
      const depths = await Promise.all(
        [...databases].map(async ([module, sql]) => {
          const [row] = await sql.unsafe<{ n: number }[]>(`select count(*)::int as n from ${module}s.outbox`)
          return row?.n ?? 0
        }),
      )
      return depths.reduce((sum, n) => sum + n, 0)
    },
  }
}

/** Kills and restarts the victims in turn, beginning with `first`, until `stop` is called. */
const killing = (victims: readonly ServiceProcess[], first: number) => {
  const kills: Record<string, number> = {}
  const stopping = new AbortController()
  const run = async () => {
    for (let n = first; !stopping.signal.aborted; n++) {
      const victim = victims[n % victims.length] as ServiceProcess
      await victim.kill()
      kills[victim.name] = (kills[victim.name] ?? 0) + 1
      await victim.restart()
      await wait(killEveryMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
  const done = run()
  return {
    killed: () => Object.values(kills).reduce((sum, n) => sum + n, 0),
    stop: async () => {
      stopping.abort()
      await done
      return kills
    },
  }
}

t.test(`${count} changes while services are killed: one entry for each change, and one change for each entry`, async (t) => {
  const seed = randomInt(2 ** 31)
  const system = await startSystem({ env: { LOG_LEVEL: 'error' } })
  t.teardown(() => system.stop())
  const books = openBooks(t, system)
  const read = trailReader(t, system.databaseUrl('audit'))
  // The sample data is inserted without events.
  const before = await books.versions()

  const { order, audit, notification, gateway } = system.services
  const random = createRandom(seed)
  const { killed, stop } = killing([...order, ...audit, ...notification, ...gateway], random.below(4))
  const goesOn = (made: number) => made < count || killed() < leastKills
  const { made, failed } = await makeChanges({ url: system.url, goesOn, clients: 12, random })
  const kills = await stop()
  const after = await books.versions()

  const expected = [...after].flatMap(([resource, version]) => {
    const known = before.get(resource) ?? 0
    return Array.from({ length: version - known }, (_, n) => `${resource} v${known + n + 1}`)
  })
  t.comment(JSON.stringify({ seed, made, failed, committed: expected.length, kills, redis: system.redis !== undefined }))
  t.ok(expected.length >= count, 'successful changes are committed')
  t.equal(Object.keys(kills).length, 4, 'each service was killed')

  await eventually(
    async () => {
      const undelivered = await books.undelivered()
      if (undelivered > 0) throw new Error(`${undelivered} events are not delivered`)
    },
    { timeoutMs: tailMs, everyMs: 250 },
  )
  const entries = await read()
  const told = entries.map(({ resource: { type, id, version } }) => `${type} ${id} v${version}`)
  const [wanted, found] = [new Set(expected), new Set(told)]
  t.same(
    expected.filter((one) => !found.has(one)),
    [],
    'no change without an entry',
  )
  t.same(
    told.filter((one) => !wanted.has(one)),
    [],
    'no entry without a change',
  )
  t.equal(told.length, found.size, 'no change with two entries')
  const keys = createKeyStore({ folder: system.keysDir, strict: false })
  t.ok(
    entries.every((entry) => isSigned(keys, entry)),
    'all entries are signed',
  )
})
