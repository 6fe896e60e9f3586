import t from 'tap'
import { policy } from '../../../src/policy.ts'
import { call, runApp } from '../../../testing/app.ts'
import { runEdgeTable } from '../../../testing/edge-table.ts'
import { eventually } from '../../../testing/eventually.ts'
import { sendExactly } from '../../../testing/gateway.ts'
import { inTurns } from '../../../testing/in-turns.ts'
import { signedIn } from '../../../testing/people.ts'
import { exchange, type RawAnswer } from '../../../testing/raw-exchange.ts'
import { rawRequests } from '../../../testing/raw-requests.ts'
import { runSplit } from '../../../testing/split.ts'

t.setTimeout(240_000)

const env = { AUTH: 'on', CORS_ORIGINS: 'https://shop.example' }
const whole = await runApp(t, env)
const split = await runSplit(t, env)
const forms = { whole, split: split.gateway }

/** Headers that vary, or belong to the connection. */
const volatile = ['date', 'x-request-id', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'last-modified']

/** The parts of a response that must be equal in both topologies. */
const seen = ({ status, headers, body }: RawAnswer) => {
  const problem = /problem\+json/.test(headers['content-type'] ?? '') && body !== '' ? JSON.parse(body) : {}
  const { trace_id, ...said } = problem
  const told = Object.fromEntries(Object.entries(headers).filter(([name]) => !volatile.includes(name)))
  return { status, ...said, traced: trace_id !== undefined, identified: 'x-request-id' in headers, headers: told }
}

t.test('one process and separate services give the same responses to any request line', async (t) => {
  t.ok(rawRequests.length >= 200, `${rawRequests.length} requests`)
  const admins = {
    whole: (await signedIn(whole.keysDir, 1)).authorization,
    split: (await signedIn(split.services.keysDir, 1)).authorization,
  }
  const ask = (form: keyof typeof forms, bytes: string) =>
    exchange(forms[form].url, bytes.replace('$ADMIN', `Authorization: ${admins[form]}`))
  const statuses = new Map<number, number>()
  const answers = await inTurns(rawRequests, 8, ({ bytes }) => Promise.all([ask('whole', bytes), ask('split', bytes)]))
  for (const [n, { name }] of rawRequests.entries()) {
    const [one, other] = answers[n] as [RawAnswer, RawAnswer]
    statuses.set(one.status, (statuses.get(one.status) ?? 0) + 1)
    t.same(seen(other), seen(one), name)
    t.ok(one.status < 500, `${name}: ${one.status}`)
  }
  t.comment(JSON.stringify([...statuses].sort()))
})

t.test('every route and outcome: headers for security, caching, language and methods', async (t) => {
  const asks = async (url: string, keysDir: string) => ({
    url,
    admin: await signedIn(keysDir, 1),
    user: await signedIn(keysDir, 2),
  })
  // Until the first entry is sealed, its proof is a 409, and each topology seals at a different time.
  const proof = async (url: string, keysDir: string) =>
    (await call(`${url}/api/v1/audit/1/proof`, 'GET', undefined, await signedIn(keysDir, 1))).status
  await eventually(async () => (await proof(whole.url, whole.keysDir)) === 200)
  await eventually(async () => (await proof(split.gateway.url, split.services.keysDir)) === 200)
  const one = await runEdgeTable(t, await asks(whole.url, whole.keysDir), policy.routes)
  const other = await runEdgeTable(t, await asks(split.gateway.url, split.services.keysDir), policy.routes)
  t.same(Object.fromEntries(other), Object.fromEntries(one), 'equal in both topologies')
})

t.test('cacheable responses are revalidated with ETags', async (t) => {
  for (const { url } of Object.values(forms))
    for (const path of ['/api/v1/products', '/api/v1/products/1', '/openapi.json', '/docs/']) {
      const first = await fetch(url + path)
      t.equal(first.headers.get('cache-control'), 'public, no-cache', path)
      const etag = first.headers.get('etag') ?? ''
      t.match(etag, /^"[\w-]{22}"$/)
      await first.arrayBuffer()
      for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        // `fetch` would handle conditional requests itself.
        const again = await sendExactly(url, path, { headers: { 'if-none-match': known } })
        t.match([again.status, again.text, again.headers.etag], [304, '', etag], `${path} ${known}`)
      }
      t.equal((await sendExactly(url, path, { headers: { 'if-none-match': '"x"' } })).status, 200)
      const head = await sendExactly(url, path, { method: 'HEAD' })
      t.match([head.status, head.headers.etag], [200, etag], `HEAD ${path}`)
    }
  const { api, url, keysDir } = whole
  const before = (await fetch(`${url}/api/v1/products/1`)).headers.get('etag')
  await api('/products/1', 'PATCH', { description: 'changed' }, await signedIn(keysDir, 1))
  t.not((await fetch(`${url}/api/v1/products/1`)).headers.get('etag'), before, 'a change gives another ETag')
})
