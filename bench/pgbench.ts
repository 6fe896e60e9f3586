import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Figures, percentile } from './report.ts'

/** `available_at` of pgbench's outbox rows: no relay claims them, and they can be recognized. */
export const parked = "'infinity'::timestamptz"

const dice = ({ users, products }: { users: number; products: number }) => `
\\set user random(1, ${users})
\\set a random(1, ${products})
\\set b 1 + mod(:a - 1 + random(1, ${products - 1}), ${products})
\\set first least(:a, :b)
\\set second greatest(:a, :b)
\\set n1 random(1, 3)
\\set n2 random(1, 3)
\\set price1 :first * 10
\\set price2 :second * 10
\\set total :n1 * :price1 + :n2 * :price2
`
const order = "(:user::int, :total::bigint, 'TWD', '0000000000000000000000000000000000000000000000000000000000000000')"
const lines = (order: string) => `
  (${order}, 1, :first::int, 'Product ' || :first::int, :n1::int, :price1::bigint),
  (${order}, 2, :second::int, 'Product ' || :second::int, :n2::int, :price2::bigint)`
const items = `jsonb_build_array(
  jsonb_build_object('product_id', :first::int, 'product', 'Product ' || :first::int, 'quantity', :n1::int, 'price', :price1::bigint),
  jsonb_build_object('product_id', :second::int, 'product', 'Product ' || :second::int, 'quantity', :n2::int, 'price', :price2::bigint))`
const eventOf = (id: string) => `
  select uuidv7(), 'order.created', ${id}::text, 1, '{"type": "anonymous", "id": null}'::jsonb,
         '00-00000000000000000000000000000000-0000000000000000-01',
         jsonb_build_object('order_id', ${id}, 'user_id', :user::int, 'total', :total::bigint, 'currency', 'TWD', 'items', ${items}), ${parked}`
const itemColumns = 'order_id, line, product_id, product, quantity, price'
const eventColumns = 'id, type, aggregate_id, version, actor, traceparent, data, available_at'

/** Three ways to write the rows of one order with two lines in one commit. */
const creating = {
  /** One round trip per statement, like most clients. */
  transaction: `
begin;
update orders.stock set available = available - :n1::int where product_id = :first::int and available >= :n1::int;
update orders.stock set available = available - :n2::int where product_id = :second::int and available >= :n2::int;
insert into orders.orders (user_id, total, currency, fingerprint) values ${order} returning id as order_id \\gset
insert into orders.order_items (${itemColumns}) values ${lines(':order_id::int')};
insert into orders.outbox (${eventColumns}) ${eventOf(':order_id::int')};
commit;
`,
  /** All statements in one round trip. */
  pipeline: `
\\startpipeline
begin;
update orders.stock set available = available - :n1::int where product_id = :first::int and available >= :n1::int;
update orders.stock set available = available - :n2::int where product_id = :second::int and available >= :n2::int;
insert into orders.orders (user_id, total, currency, fingerprint) values ${order};
insert into orders.order_items (${itemColumns}) values ${lines("currval('orders.orders_id_seq')")};
insert into orders.outbox (${eventColumns}) ${eventOf("currval('orders.orders_id_seq')")};
commit;
\\endpipeline
`,
  /** One statement. */
  statement: `
with taken as (
  update orders.stock s set available = s.available - w.quantity
    from (values (:first::int, :n1::int), (:second::int, :n2::int)) as w(product_id, quantity)
   where s.product_id = w.product_id and s.available >= w.quantity
), placed as (
  insert into orders.orders (user_id, total, currency, fingerprint) values ${order} returning id
), item as (
  insert into orders.order_items (${itemColumns})
  select placed.id, w.line, w.product_id, 'Product ' || w.product_id, w.quantity, w.product_id * 10
    from placed, (values (1, :first::int, :n1::int), (2, :second::int, :n2::int)) as w(line, product_id, quantity)
), event as (
  insert into orders.outbox (${eventColumns}) ${eventOf('placed.id')} from placed
)
select id from placed;
`,
} as const
export type Writing = keyof typeof creating
export const writings = Object.keys(creating) as Writing[]

const reading = (orders: number) => `
\\set id random(1, ${orders})
select o.id, o.user_id, o.total, o.currency, o.status, o.created_at,
       (select jsonb_agg(jsonb_build_object('product_id', i.product_id, 'product', i.product, 'quantity', i.quantity, 'price', i.price) order by i.line)
          from orders.order_items i where i.order_id = o.id) as items
  from orders.orders o where o.id = :id;
`

export interface Pgbench {
  readonly version: string
  create(writing: Writing, seconds: number): Promise<Figures>
  /** Reads orders with ids 1 to `orders`. */
  read(orders: number, seconds: number): Promise<Figures>
}

export interface PgbenchOptions {
  readonly databaseUrl: string
  readonly connections: number
  readonly users: number
  readonly products: number
}

const find = async (): Promise<string | undefined> => {
  // Debian does not add the server's programs to PATH.
  const root = '/usr/lib/postgresql'
  const versions = (await readdir(root).catch(() => [])).sort((a, b) => Number(b) - Number(a))
  return ['pgbench', ...versions.map((version) => join(root, version, 'bin', 'pgbench'))].find(
    (path) => spawnSync(path, ['--version']).status === 0,
  )
}

/** Each latency in milliseconds, in ascending order, from the logs of `pgbench -l`. */
const readLatencies = async (folder: string): Promise<Float64Array> => {
  const logs = (await readdir(folder)).filter((name) => name.startsWith('log.'))
  const lines = (await Promise.all(logs.map((name) => readFile(join(folder, name), 'utf8')))).join('').trim().split('\n')
  return Float64Array.from(lines, (line) => Number(line.split(' ', 3)[2]) / 1000).sort()
}

const execute = async (path: string, script: string, options: PgbenchOptions, seconds: number): Promise<Figures> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-pgbench-'))
  const { hostname, port, username, password, pathname } = new URL(options.databaseUrl)
  await writeFile(join(folder, 'script.sql'), script)
  const target = ['-h', hostname, '-p', port, '-U', username]
  const load = ['-n', '-M', 'prepared', '-c', String(options.connections), '-j', '2', '-T', String(seconds)]
  const files = ['-f', join(folder, 'script.sql'), '-l', '--log-prefix', join(folder, 'log')]
  try {
    const child = spawn(path, [...target, ...load, ...files, pathname.slice(1)], {
      env: { ...process.env, PGPASSWORD: decodeURIComponent(password) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk
      })
    }
    const [status] = await new Promise<[number | null]>((resolve) => child.once('close', (code) => resolve([code])))
    const perSecond = /tps = ([\d.]+) \(without initial/.exec(output)?.[1]
    if (status !== 0 || perSecond === undefined) throw new Error(`pgbench failed: ${output}`)
    const latencies = await readLatencies(folder)
    return {
      perSecond: Number(perSecond),
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      errors: Number(/number of failed transactions: (\d+)/.exec(output)?.[1] ?? 0),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** pgbench against the order module's database, or undefined if it is not installed. */
export const findPgbench = async (options: PgbenchOptions): Promise<Pgbench | undefined> => {
  const path = await find()
  if (!path) return undefined
  return {
    version: spawnSync(path, ['--version']).stdout.toString().trim(),
    create: (writing, seconds) => execute(path, dice(options) + creating[writing], options, seconds),
    read: (orders, seconds) => execute(path, reading(orders), options, seconds),
  }
}
