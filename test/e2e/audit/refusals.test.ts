import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { type AuditEntry, isSigned } from '../../../src/platform/audit/entry.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { startService } from '../../../testing/service.ts'
import { startSystem } from '../../../testing/system.ts'
import { trailReader } from '../../../testing/trail.ts'

t.setTimeout(170_000)

interface Attempt {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly body?: unknown
  readonly headers: Record<string, string>
}

const of = (entry: AuditEntry) => ({
  service: entry.service,
  action: entry.action,
  actor: `${entry.actor.type} ${entry.actor.id}`,
  status: entry.details.status,
})

/** A service token with the usual claims, expired long ago. */
const expiredToken = async (keysDir: string): Promise<string> => {
  const { kid, key } = createKeyStore({ folder: keysDir, strict: false }).signer('service-order')
  const past = Math.floor(Date.now() / 1000) - 600
  return new SignJWT({ actor: { type: 'service', id: 'order' }, role: null })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'orderhub-service+jwt', kid })
    .setIssuer('urn:orderhub:service:order')
    .setAudience('urn:orderhub:service:user')
    .setIssuedAt(past)
    .setExpirationTime(past + 60)
    .sign(key)
}

/** Sends an attempt in its own trace, and waits for its entry on the trail. */
const attempter = (read: () => Promise<AuditEntry[]>) => {
  let attempts = 0
  return async ({ url, method, body, headers }: Attempt) => {
    const trace = String(++attempts).padStart(32, '0')
    const answer = await call(url, method, body, { ...headers, traceparent: `00-${trace}-00000000000000aa-01` })
    const entry = await eventually(async () => (await read()).find(({ trace_id }) => trace_id === trace) ?? false)
    return { answer, entry, trace }
  }
}

const start = async (t: Test) => {
  const system = await startSystem({ env: { AUTH: 'on' } })
  t.teardown(() => system.stop())
  const read = trailReader(t, system.databaseUrl('audit'))
  const at = (name: 'user' | 'order' | 'product' | 'audit') => system.services[name][0]?.url as string
  return { system, read, at, attempt: attempter(read), keysDir: system.keysDir }
}

t.test('between real services', async (t) => {
  const { system, read, at, attempt, keysDir } = await start(t)
  const keys = createKeyStore({ folder: keysDir, strict: false })
  const person = await signedIn(keysDir, 2)
  const forged = {
    'x-orderhub-actor': '{"type":"user","id":"1"}',
    'x-orderhub-role': 'admin',
    'x-user-id': '1',
    'x-forwarded-user': '1',
  }
  // Repeated refusals of one kind are counted for ten seconds. Each attempt has its own code or route, so each is a first one.
  const to = (op: string) => ({ url: `${at('user')}/internal/user/${op}`, method: 'POST', body: { ids: [1] } }) as const
  const told = (op: string) => ({ service: 'user', action: `POST /internal/user/${op}`, actor: 'anonymous null', status: 401 })
  const crossings: Record<string, [Attempt, ReturnType<typeof of>]> = {
    'a forged identity header, straight to a service': [
      { url: `${at('order')}/api/v1/orders`, method: 'GET', headers: forged },
      { service: 'order', action: 'GET /api/v1/orders', actor: 'anonymous null', status: 401 },
    ],
    'a forged identity header on /internal': [{ ...to('getUser'), headers: forged }, told('getUser')],
    "a user's token on /internal": [{ ...to('getUser'), headers: person }, told('getUser')],
    'an expired service token': [
      { ...to('getUsers'), headers: { authorization: `Bearer ${await expiredToken(keysDir)}` } },
      told('getUsers'),
    ],
    "another service's audience": [
      { ...to('getSessions'), headers: await asService(keysDir, 'order', 'product') },
      told('getSessions'),
    ],
    'forged entries, straight to the audit service': [
      { url: `${at('audit')}/internal/audit/record`, method: 'POST', body: { entries: [] }, headers: person },
      { service: 'audit', action: 'POST /internal/audit/record', actor: 'anonymous null', status: 401 },
    ],
    'a forged identity header, through the gateway': [
      {
        url: `${system.url}/api/v1/products`,
        method: 'POST',
        body: { sku: 'X', name: 'X', price: 1 },
        headers: { ...person, ...forged },
      },
      { service: 'gateway', action: 'POST /api/v1/products', actor: 'user 2', status: 403 },
    ],
    "a service's token from outside": [
      { url: `${system.url}/api/v1/orders`, method: 'GET', headers: await asService(keysDir, 'order', 'order') },
      { service: 'gateway', action: 'GET /api/v1/orders', actor: 'anonymous null', status: 401 },
    ],
    'a token without a valid signature': [
      { url: `${system.url}/api/v1/orders/7`, method: 'GET', headers: { authorization: 'Bearer x.y.z' } },
      { service: 'gateway', action: 'GET /api/v1/orders/:id', actor: 'anonymous null', status: 401 },
    ],
    'a failed sign-in: only the service behind the gateway records it': [
      {
        url: `${system.url}/api/v1/auth/login`,
        method: 'POST',
        body: { email: 'nobody@example.org', password: 'wrong-wrong-wrong' },
        headers: {},
      },
      { service: 'user', action: 'POST /api/v1/auth/login', actor: 'anonymous null', status: 401 },
    ],
  }
  const traces: string[] = []
  for (const [name, [asked, expected]] of Object.entries(crossings)) {
    const { answer, entry, trace } = await attempt(asked).catch((error) => {
      throw new Error(name, { cause: error })
    })
    traces.push(trace)
    t.equal(answer.status, expected.status, name)
    t.same(of(entry), expected, name)
    t.match(entry, { decision: 'denied', details: { code: answer.body.code, count: 1 } }, name)
    t.ok(isSigned(keys, entry), name)
  }

  await t.test('refusals after the first are counted in one entry, which a shutdown writes', async (t) => {
    const trace = 'b'.repeat(32)
    const ask = () =>
      call(`${at('order')}/api/v1/orders/1`, 'PATCH', { status: 'completed' }, { traceparent: `00-${trace}-00000000000000aa-01` })
    const answers = await Promise.all(Array.from({ length: 200 }, ask))
    t.ok(answers.every(({ status }) => status === 401))
    await system.services.order[0]?.stop()
    const entries = (await read()).filter(({ trace_id }) => trace_id === trace)
    t.equal(entries.length, 2)
    t.same(
      entries.map(({ details }) => details.count),
      [1, 199],
    )
  })

  await t.test('a service without AUDIT_SERVICE_URL logs that at its start; others do not', async (t) => {
    const silent = await startService('product', {
      DATABASE_URL: system.databaseUrl('product'),
      KEYS_DIR: keysDir,
      AUTH: 'on',
    })
    t.teardown(() => silent.kill())
    await eventually(() => /AUDIT_SERVICE_URL is not set/.test(silent.output()))
    t.notMatch(system.services.product[0]?.output(), /AUDIT_SERVICE_URL/)
  })

  await t.test('while the audit service is down, refusals wait for it', async (t) => {
    const [audit] = system.services.audit
    await audit?.kill()
    const trace = 'c'.repeat(32)
    const { status } = await call(`${at('product')}/api/v1/products/1`, 'DELETE', undefined, {
      ...person,
      traceparent: `00-${trace}-00000000000000aa-01`,
    })
    t.ok(status >= 400, `refused, or not decided: ${status}`)
    await audit?.restart()
    const entry = await eventually(async () => (await read()).find(({ trace_id }) => trace_id === trace) ?? false, {
      timeoutMs: 20_000,
    })
    t.match(of(entry), { service: 'product', action: 'DELETE /api/v1/products/:id', actor: 'user 2', status: 403 })
    t.match(entry.resource, { type: 'products', id: '1', version: null })
  })

  const entries = await read()
  for (const trace of traces) t.equal(entries.filter(({ trace_id }) => trace_id === trace).length, 1, 'one refusal, one entry')
  t.notMatch(JSON.stringify(entries), /example\.org|127\.0\.0\.1|wrong-wrong/, 'no personal data')
})

t.test('with AUTH=off, the trail has the rate limit’s refusals', async (t) => {
  const { api, databaseUrl } = await runApp(t, { RATE_LIMIT_PER_MINUTE: '5' })
  const read = trailReader(t, databaseUrl)
  const answers = await Promise.all(Array.from({ length: 8 }, () => api('/products')))
  t.equal(answers.filter(({ status }) => status === 429).length, 3)
  const [entry] = await eventually(async () => {
    const entries = await read()
    return entries.length > 0 && entries
  })
  t.same(entry && of(entry), { service: 'gateway', action: 'GET /api/v1/products', actor: 'anonymous null', status: 429 })
})
