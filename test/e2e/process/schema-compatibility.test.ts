import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import t from 'tap'
import { migrationTargets, modulesBehind, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { call } from '../../../testing/app.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(180_000)

/** The last migration of each module that every installation has; it and earlier ones are not checked. */
const released: Record<string, number> = { user: 1, product: 1, order: 1, notification: 1, audit: 1 }

/** Changes that break the previous version, which still runs after the migration, and again after a rollback. */
const contracting: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['removes a column', /\bdrop\s+column\b/i],
  ['removes a table', /\bdrop\s+(table|schema|view|materialized\s+view|function|type|sequence)\b/i],
  ['renames', /\brename\s+(to|column|constraint)\b|\brename\s+"?\w+"?\s+to\b/i],
  // Except integer to bigint: the previous version reads and writes both, as the last test shows.
  ['changes a type', /\balter\s+column\s+\S+\s+(set\s+data\s+)?type\b(?!\s+bigint\b)/i],
  ['makes a column NOT NULL', /\bset\s+not\s+null\b/i],
  ['removes a default', /\bdrop\s+default\b/i],
  ['adds a required column', /\badd\s+column\b(?=[^;]*\bnot\s+null\b)(?![^;]*\b(default|generated)\b)/i],
  ['empties a table', /\btruncate\s+(table\b|only\b|")/i],
]

/** @returns the breaking changes of a migration; a file with `contract` in its name may have them. */
const contractions = (file: string, sql: string): string[] => {
  if (/contract/.test(file)) return []
  const statements = sql
    .split('--> statement-breakpoint')
    .map((statement) => statement.replaceAll(/--.*$/gm, '').replaceAll(/'(?:[^']|'')*'/g, "''"))
  return contracting.filter(([, pattern]) => statements.some((statement) => pattern.test(statement))).map(([what]) => what)
}

t.test('migrations only add: the previous version runs on this schema', async (t) => {
  const drizzle = new URL('../../../drizzle/', import.meta.url)
  for (const module of readdirSync(drizzle)) {
    const folder = new URL(`${module}/`, drizzle)
    if (!existsSync(new URL('meta/_journal.json', folder))) continue
    for (const file of readdirSync(folder).filter((name) => /^\d{4}_.*\.sql$/.test(name))) {
      if (Number(file.slice(0, 4)) <= (released[module] ?? -1)) continue
      const found = contractions(file, readFileSync(new URL(file, folder), 'utf8'))
      t.strictSame(
        found,
        [],
        `drizzle/${module}/${file}: expand now, and contract in a later release, in a file named *contract*`,
      )
    }
  }
})

t.test('the rule detects each breaking change', async (t) => {
  const seen: Record<string, string> = {
    'ALTER TABLE "orders"."orders" DROP COLUMN "total";': 'removes a column',
    'DROP TABLE "orders"."items";': 'removes a table',
    'ALTER TABLE "orders"."orders" RENAME COLUMN "a" TO "b";': 'renames',
    'ALTER TABLE "orders"."orders" RENAME TO "b";': 'renames',
    'ALTER TABLE "orders"."orders" ALTER COLUMN "id" SET DATA TYPE text;': 'changes a type',
    'ALTER TABLE "orders"."orders" ALTER COLUMN "note" SET NOT NULL;': 'makes a column NOT NULL',
    'ALTER TABLE "orders"."orders" ALTER COLUMN "note" DROP DEFAULT;': 'removes a default',
    'ALTER TABLE "orders"."orders" ADD COLUMN "note" text NOT NULL;': 'adds a required column',
    'TRUNCATE TABLE "orders"."orders";': 'empties a table',
  }
  for (const [sql, what] of Object.entries(seen)) {
    t.strictSame(contractions('0002_change.sql', sql), [what], sql)
    t.strictSame(contractions('0002_contract_change.sql', sql), [], `allowed in a contract migration: ${sql}`)
  }
  for (const sql of [
    `ALTER TABLE "orders"."orders" ADD COLUMN "note" text DEFAULT '' NOT NULL;`,
    'ALTER TABLE "orders"."orders" ADD COLUMN "note" text;',
    'ALTER TABLE "orders"."orders" ALTER COLUMN "note" DROP NOT NULL;',
    `CREATE TABLE "orders"."notes" ("id" integer PRIMARY KEY NOT NULL, "text" text NOT NULL); -- no DROP TABLE`,
    'CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.entries FOR EACH STATEMENT EXECUTE FUNCTION f();',
    'ALTER TABLE "orders"."stock" ALTER COLUMN "available" SET DATA TYPE bigint;',
    `COMMENT ON TABLE "orders"."notes" IS 'we DROP COLUMN later';`,
  ])
    t.strictSame(contractions('0002_change.sql', sql), [], sql)
})

/** Changes that a later release might make to tables that this version writes. */
const later: Record<string, readonly string[]> = {
  user: [
    'alter table users.users add column nickname text',
    "alter table users.outbox add column region text not null default 'here'",
  ],
  product: ["alter table products.products add column tags text[] not null default '{}'"],
  order: [
    'alter table orders.orders add column note text',
    'alter table orders.order_items add column discount integer not null default 0',
    'create table orders.notes (id integer primary key, order_id integer not null, text text not null)',
    'alter table orders.order_items alter column quantity type bigint',
    'alter table orders.stock alter column version type bigint',
    'create index orders_note on orders.orders (note)',
  ],
  notification: ['alter table notifications.notifications add column channel_hint text'],
  audit: ['alter table audits.outbox add column region text'],
}

t.test('this version runs on the schema of a later one, when already running and after a rollback', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-later-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const url = await server.createDatabase('orderhub')
  const targets = migrationTargets(readConfig({ DATABASE_URL: url }))
  await runMigrations(targets)
  const env = { DATABASE_URL: url, DATA_DIR: folder, SEED: 'true' }
  const before = await startService('all', env)
  t.teardown(() => before.kill())

  const set = (of: { url: string }, available: number) => call(`${of.url}/api/v1/inventory/2`, 'PUT', { available })
  const buy = (of: { url: string }) =>
    call(`${of.url}/api/v1/orders`, 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 2 }] })
  t.strictSame([(await set(before, 10)).status, (await buy(before)).status], [200, 201], 'prepares its statements')

  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  for (const [module, statements] of Object.entries(later)) {
    for (const statement of statements) await sql.unsafe(statement)
    await sql`insert into orderhub_migrations.${sql(module)} (hash, created_at) values ('later', 9999999999999)`
  }
  t.strictSame(await modulesBehind(targets), [])
  await runMigrations(targets)

  const after = await startService('all', env)
  t.teardown(() => after.kill())
  for (const [what, { url }] of Object.entries({ running: before, started: after })) {
    t.equal((await call(`${url}/health/ready`)).status, 200)
    const api = (path: string, method?: string, body?: unknown) => call(`${url}/api/v1${path}`, method, body)
    const product = await api('/products', 'POST', { sku: `LATER-${what.slice(-6)}`, name: 'Lamp', price: 40 })
    t.equal(product.status, 201, `a product, by the ${what} process`)
    const order = await api('/orders', 'POST', { user_id: 2, items: [{ product_id: product.body.data.id, quantity: 2 }] })
    t.match(order, { status: 201, body: { data: { status: 'pending' } } }, `an order, by the ${what} process`)
    t.equal((await api(`/orders/${order.body.data.id}/cancel`, 'POST')).status, 200)
    t.strictSame([(await set({ url }, 10)).status, (await buy({ url })).status], [200, 201], `stock, by the ${what} process`)
    t.equal((await api('/users', 'POST', { name: 'Ada', email: `ada-${what.slice(-6)}@example.com` })).status, 201)
  }
})
