import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { migrationTargets, runMigrations } from '../src/app/migrations.ts'
import { readConfig } from '../src/config.ts'
import { serviceNames } from '../src/environment.ts'
import { startEmbeddedPostgres } from '../src/platform/db/embedded-postgres.ts'
import { parked } from './pgbench.ts'

export interface Server {
  readonly version: string
  /** A new, migrated database for all modules, as environment variables. */
  shared(name: string): Promise<Record<string, string>>
  /** A new, migrated database for each module; `DATABASE_URL` is a separate one for the events. */
  separate(name: string): Promise<Record<string, string>>
  stop(): Promise<void>
}

/** A real PostgreSQL, like that of `npm start`: fsync and synchronous_commit are on. */
export const startServer = async (): Promise<Server> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-bench-'))
  await chmod(folder, 0o755)
  const embedded = await startEmbeddedPostgres(folder)
  const admin = postgres(embedded.url, { max: 1, onnotice: () => {} })
  const create = async (name: string): Promise<string> => {
    await admin`create database ${admin(name)}`
    const url = new URL(embedded.url)
    url.pathname = `/${name}`
    return url.href
  }
  const migrated = async (env: Record<string, string>) => {
    await runMigrations(migrationTargets(readConfig({ ...env, SERVICE: 'all' })))
    return env
  }
  const [setting] = await admin`select current_setting('server_version') as version`
  return {
    version: String(setting?.version),
    shared: async (name) => migrated({ DATABASE_URL: await create(name) }),
    separate: async (name) => {
      const urls: Record<string, string> = { DATABASE_URL: await create(name) }
      for (const module of serviceNames.filter((service) => service !== 'gateway'))
        urls[`${module.toUpperCase()}_DATABASE_URL`] = await create(`${name}_${module}`)
      return migrated(urls)
    },
    stop: async () => {
      await admin.end()
      await embedded.stop()
      for (const used of [folder, dirname(embedded.directory)]) await rm(used, { recursive: true, force: true })
    },
  }
}

/** Queries on the order module's database. */
export const watchOrders = (url: string) => {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  const outbox = async (): Promise<number> => {
    const [row] = await client`select count(*)::int as n from orders.outbox where available_at <> ${client.unsafe(parked)}`
    return row?.n ?? 0
  }
  return {
    /** Waits until every event is delivered. @returns the number of events, and the seconds */
    drain: async (timeoutSeconds = 300) => {
      const started = performance.now()
      const seconds = () => (performance.now() - started) / 1000
      const events = await outbox()
      while ((await outbox()) > 0) {
        if (seconds() > timeoutSeconds) throw new Error(`events are still in the outbox after ${timeoutSeconds} s`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      return { events, seconds: seconds() }
    },
    /** The largest id, and the missing ids below it: a deadlocked transaction of pgbench has used up an id. */
    orders: async (): Promise<{ last: number; missing: number[] }> => {
      const [row] = await client`
        select max(id) as last, (select coalesce(json_agg(n), '[]') from
               (select generate_series(1, max(id)) as n from orders.orders except select id from orders.orders) as gap) as missing
          from orders.orders`
      if (!row || row.missing.length > row.last / 1000) throw new Error('more than one in a thousand orders is missing')
      return { last: row.last, missing: row.missing }
    },
    /** Deletes the events of pgbench, and gives every round the same initial state. */
    tidy: async (): Promise<void> => {
      await client`delete from orders.outbox where available_at = ${client.unsafe(parked)}`
      await client`vacuum analyze orders.orders`
      await client`vacuum analyze orders.order_items`
      await client`vacuum analyze orders.outbox`
      await client`vacuum orders.stock`
      await client`checkpoint`
    },
    /** Number of orders without their two items, or with a wrong total. */
    torn: async (): Promise<number> => {
      const [row] = await client`
        select count(*)::int as n from orders.orders o
         where (select count(*) <> 2 or sum(quantity * price) <> o.total from orders.order_items i where i.order_id = o.id)`
      return row?.n ?? 0
    },
    close: () => client.end(),
  }
}
