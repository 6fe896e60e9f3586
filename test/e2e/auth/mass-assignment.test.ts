import postgres from 'postgres'
import t, { type Test } from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { type Answer, call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type Document, type JsonSchema, type Route, resolve, routesOf } from '../../../testing/openapi.ts'
import { signedIn } from '../../../testing/people.ts'

t.setTimeout(120_000)

interface Column {
  readonly table: string
  readonly column: string
  readonly type: string
}

/** From the sample data: an administrator, and a user with an order. */
const [admin, person, orderId] = [1, 2, 2]

/** A body for each operation that fits its schema. */
const bodies: Readonly<Record<string, Record<string, unknown>>> = {
  createUser: { name: 'Eve', email: 'eve@example.com', password: 'correct horse battery' },
  updateUser: { name: 'Eve' },
  signIn: { email: 'eve@example.com', password: 'wrong' },
  refresh: { refresh_token: 'none' },
  signOut: { refresh_token: 'none' },
  changePassword: { current_password: 'wrong', new_password: 'correct horse battery' },
  forgotPassword: { email: 'nobody@example.com' },
  resetPassword: { token: 'none', password: 'correct horse battery' },
  activate: { token: 'none', password: 'wrong' },
  reauthenticate: { password: 'wrong' },
  resetSecondFactor: { reason: 'lost' },
  confirmSecondFactor: { code: '000000' },
  removeSecondFactor: { password: 'wrong', code: '000000' },
  createProduct: { sku: 'EVE', name: 'Thing', price: 1 },
  updateProduct: { name: 'Thing' },
  createOrder: { items: [{ product_id: 2, quantity: 1 }] },
  updateOrder: { status: 'processing' },
  setInventory: { available: 1 },
  replayAuditDeadLetters: { type: 'none' },
  replayNotificationDeadLetters: { type: 'none' },
  replayOrderDeadLetters: { type: 'none' },
}

/** Columns that a body may name. The last test, or the service's rules, restrict their values. */
const taken: Readonly<Record<string, readonly string[]>> = {
  createUser: ['email', 'locale', 'name', 'phone', 'role'],
  updateUser: ['email', 'locale', 'name', 'phone', 'role'],
  signIn: ['email'],
  resetSecondFactor: ['reason'],
  forgotPassword: ['email'],
  createProduct: ['active', 'currency', 'description', 'name', 'price', 'sku'],
  updateProduct: ['active', 'currency', 'description', 'name', 'price', 'sku'],
  createOrder: ['user_id'],
  'createOrder items': ['price', 'product', 'product_id', 'quantity'],
  updateOrder: ['status'],
  setInventory: ['available'],
  replayAuditDeadLetters: ['type'],
  replayNotificationDeadLetters: ['type'],
  replayOrderDeadLetters: ['type'],
}

const sampleOf = (type: string): unknown => {
  if (/int|numeric/.test(type)) return 1_234_567
  if (type === 'boolean') return true
  if (/json/.test(type)) return { forged: true }
  if (/timestamp/.test(type)) return '2001-01-01T00:00:00Z'
  return type === 'uuid' ? '01890000-0000-7000-8000-000000000000' : 'admin'
}

const pathOf = ({ path }: Route): string =>
  path
    .replace('/users/{id}', `/users/${person}`)
    .replace('/orders/{id}', `/orders/${orderId}`)
    .replace('{id}', '2')
    .replace('{product_id}', '2')

const start = async (t: Test) => {
  const { url, databaseUrl, keysDir, api } = await runApp(t, { AUTH: 'on' })
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const columns = await sql<Column[]>`
    select table_schema || '.' || table_name as table, column_name as column, data_type as type
      from information_schema.columns
     where table_schema not in ('pg_catalog', 'information_schema') and table_schema !~ '^(drizzle|pgboss|bullmq)'
     order by 1, ordinal_position`
  const document: Document = (await call(`${url}/openapi.json`)).body
  /** The objects of a body: the body itself, and the entries of its lists. */
  const objectsOf = (schema: JsonSchema, place = ''): [place: string, properties: readonly string[]][] => {
    const { properties = {} } = resolve(document, schema)
    return [
      [place, Object.keys(properties)],
      ...Object.entries(properties).flatMap(([name, property]) => {
        const { items } = resolve(document, property)
        return items && resolve(document, items).properties ? objectsOf(items, name) : []
      }),
    ]
  }
  const routes = routesOf(document).filter(({ body }) => body !== undefined)
  return { url, sql, api, columns, routes, objectsOf, headers: (id: number) => signedIn(keysDir, id) }
}

/** A checksum of every table of the modules, without outbox and inbox. */
const contents = async (sql: postgres.Sql): Promise<Record<string, string>> => {
  const tables = await sql<{ name: string }[]>`
    select table_schema || '.' || table_name as name from information_schema.tables
     where table_schema in ('users', 'products', 'orders', 'notifications') and table_type = 'BASE TABLE'
       and table_name not in ('outbox', 'inbox') order by 1`
  const found: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await sql.unsafe(`select coalesce(md5(string_agg(r::text, '' order by r::text)), '') as sum from ${name} r`)
    found[name] = row?.sum
  }
  return found
}

const injected = (body: Record<string, unknown>, place: string, column: string, value: unknown): Record<string, unknown> =>
  place === ''
    ? { ...body, [column]: value }
    : { ...body, [place]: (body[place] as object[]).map((entry) => ({ ...entry, [column]: value })) }

t.test('no column can be written by naming it in a body', async (t) => {
  const { url, sql, columns, routes, objectsOf, headers } = await start(t)
  t.same(routes.map(({ id }) => id).sort(), Object.keys(bodies).sort(), '`bodies` has every operation with a body')
  t.ok(columns.length > 80 && columns.some(({ column }) => column === 'session_version'), 'columns found')
  const before = await contents(sql)
  const types = new Map(columns.map(({ column, type }) => [column, type]))

  const places = routes.flatMap((route) =>
    objectsOf(route.body?.schema as JsonSchema).map(([place, properties]) => ({ route, place, properties })),
  )
  const named = places
    .map(
      ({ route, place, properties }) =>
        [`${route.id} ${place}`.trim(), properties.filter((name) => types.has(name)).sort()] as const,
    )
    .filter(([, names]) => names.length > 0)
  t.same(Object.fromEntries(named), taken, 'columns that a body may name according to the API document')

  const tally = { refused: 0, forbidden: 0 }
  const wrong: string[] = []
  const isRefused = ({ status, body }: Answer, column: string): boolean =>
    status === 400 &&
    body.code === 'request.invalid' &&
    body.errors.some(({ field }: { field: string }) => field.endsWith(`/${column}`))
  const callers = Object.entries({ admin: await headers(admin), person: await headers(person), nobody: {} })
  const pairs = places.reduce((sum, { properties }) => sum + types.size - properties.filter((name) => types.has(name)).length, 0)
  for (const [caller, own] of callers.slice(0, amounts.callersOfColumns)) {
    for (const { route, place, properties } of places) {
      for (const [column, type] of types) {
        if (properties.includes(column)) continue
        const body = injected(bodies[route.id] as Record<string, unknown>, place, column, sampleOf(type))
        const answer = await call(url + pathOf(route), route.method, body, own)
        if (isRefused(answer, column)) tally.refused++
        else if ([401, 403].includes(answer.status) && /^auth\.(required|forbidden)$/.test(answer.body.code)) tally.forbidden++
        else wrong.push(`${caller} ${route.method} ${route.path} ${place} ${column}: ${answer.status} ${answer.body.code ?? ''}`)
      }
    }
  }
  t.same(wrong, [], 'each column is refused by name')
  t.ok(tally.refused >= pairs, JSON.stringify({ pairs, ...tally }))
  t.same(await contents(sql), before, 'no table has changed')
})

t.test('columns that a body may name do not give more rights', async (t) => {
  const { sql, api, headers } = await start(t)
  const own = await headers(person)
  const roleOf = async (id: number) => (await sql`select role, session_version from users.users where id = ${id}`)[0]

  const before = await roleOf(person)
  for (const role of ['admin', 'support', 'auditor', 'user'])
    t.match(await api(`/users/${person}`, 'PATCH', { role, name: 'Eve' }, own), { status: 403, body: { code: 'auth.forbidden' } })
  t.same(await roleOf(person), before)

  for (const [n, asker] of [{}, own].entries()) {
    const made = await api('/users', 'POST', { ...bodies.createUser, email: `role-${n}@example.com`, role: 'admin' }, asker)
    if (made.status === 201) t.equal(made.body.data.role, 'user')
    else t.match(made, { status: 403 })
  }
  t.equal((await sql`select count(*)::int as n from users.users where role = 'admin'`)[0]?.n, 1)

  const cheap = { items: [{ product_id: 2, quantity: 1, price: 1 }] }
  t.match(await api('/orders', 'POST', cheap, own), { status: 409, body: { code: 'order.price_changed' } })
  t.match(await api('/orders', 'POST', { ...bodies.createOrder, user_id: admin }, own), { status: 403 })
  const placed = await api('/orders', 'POST', { ...bodies.createOrder, user_id: person }, own)
  t.match(placed, { status: 201, body: { data: { user_id: person, status: 'pending' } } })
  const { id } = placed.body.data
  t.match(await api(`/orders/${id}`, 'PATCH', { status: 'completed' }, own), { status: 403 })
  await eventually(async () => {
    const [order] = await sql`select user_id, status, version from orders.orders where id = ${id}`
    t.match(order, { user_id: person, status: 'pending', version: 1 })
  })
})
