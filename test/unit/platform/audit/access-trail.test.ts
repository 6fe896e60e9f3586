import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { createAccessTrail } from '../../../../src/platform/audit/access-trail.ts'
import { type Access, createDenialAggregator } from '../../../../src/platform/audit/denial-aggregator.ts'
import { type AuditEntry, isSigned } from '../../../../src/platform/audit/entry.ts'
import { accountHash, createPseudonyms } from '../../../../src/platform/audit/pseudonyms.ts'
import { type WatchOptions, watchAccess } from '../../../../src/platform/audit/watch-access.ts'
import { failWith } from '../../../../src/platform/errors.ts'
import { createHttp } from '../../../../src/platform/http/server.ts'
import { initKeys } from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../src/platform/keys/key-store.ts'
import { rotateKeys } from '../../../../src/platform/keys/rotate-keys.ts'
import { errors } from '../../../../src/registry.ts'
import { eventually } from '../../../../testing/eventually.ts'

const fail = failWith(errors)

const log = pino({ level: 'silent' })

const refusal = (changes: Partial<Access> = {}): Access => ({
  at: 0,
  actor: { type: 'user', id: '2' },
  client: 'c1',
  action: 'GET /api/v1/users',
  decision: 'denied',
  resource: { type: 'users', id: null },
  apart: false,
  facts: { code: 'auth.forbidden', status: 403 },
  subjects: [],
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ...changes,
})

t.test('the first refusal of a kind is recorded at once, further ones within ten seconds as one sum', async (t) => {
  const bursts = createDenialAggregator()
  t.match(bursts.add(refusal({ at: 1000 }), true), { count: 1, lastAt: 1000 })
  for (const at of [2000, 3000, 10_999]) t.equal(bursts.add(refusal({ at }), true), undefined)
  t.same(bursts.due(10_999, 10), [])
  t.match(bursts.due(11_000, 10), [{ count: 3, first: { at: 2000 }, lastAt: 10_999 }])
  t.equal(bursts.add(refusal({ at: 12_000 }), true), undefined, 'refusals are summed while they continue')
  t.match(bursts.due(21_000, 10), [{ count: 1, first: { at: 12_000 } }])
  t.same(bursts.due(31_000, 10), [])
  t.match(bursts.add(refusal({ at: 31_001 }), true), { count: 1 }, 'after a pause, the next refusal counts as the first')
})

t.test('a sum names the resource if it is the same in all', async (t) => {
  const bursts = createDenialAggregator()
  const asked = (id: string) => bursts.add(refusal({ resource: { type: 'users', id } }), true)
  t.match(asked('1'), { first: { resource: { type: 'users', id: '1' } } })
  asked('2')
  asked('2')
  t.match(bursts.due(10_000, 1), [{ count: 2, first: { resource: { type: 'users', id: '2' } } }])
  asked('2')
  asked('3')
  asked('2')
  t.match(bursts.due(20_000, 1), [{ count: 3, first: { resource: { type: 'users', id: null } } }])
})

t.test('actor, client, route and code each make a separate kind', async (t) => {
  const bursts = createDenialAggregator()
  const kinds: Partial<Access>[] = [
    {},
    { actor: { type: 'user', id: '3' } },
    { actor: { type: 'service', id: '2' } },
    { client: 'c2' },
    { action: 'POST /api/v1/users' },
    { facts: { code: 'auth.required', status: 401 } },
  ]
  for (const kind of kinds) t.match(bursts.add(refusal(kind), true), { count: 1 }, JSON.stringify(kind))
  for (const kind of kinds) t.equal(bursts.add(refusal(kind), true), undefined, JSON.stringify(kind))
})

t.test('with too many kinds or without room, refusals are counted together: none is lost', async (t) => {
  const bursts = createDenialAggregator({ maxKinds: 10 })
  const written = []
  for (let n = 0; n < 1000; n++)
    written.push(
      bursts.add(refusal({ at: n, client: `c${n}`, facts: { code: 'auth.forbidden', status: n % 2 ? 403 : 401 } }), true),
    )
  const alone = written.filter((one) => one !== undefined)
  t.equal(alone.length, 12, 'ten kinds, and one `other` for each status')
  const sums = bursts.due(20_000, 100)
  t.equal(alone.length + sums.reduce((sum, { count }) => sum + count, 0), 1000)
  t.match(sums[0]?.first, { client: 'other', action: 'other', facts: { code: 'other' }, actor: { type: 'anonymous', id: null } })

  const full = createDenialAggregator()
  for (let n = 0; n < 50; n++) t.equal(full.add(refusal({ client: `c${n}` }), false), undefined)
  t.same(full.due(Number.POSITIVE_INFINITY, 0), [], 'no room yet')
  t.match(full.due(Number.POSITIVE_INFINITY, 1), [{ count: 50 }])
})

t.test('the pseudonym of an address is unique within one day and process, and does not contain the address', async (t) => {
  let now = Date.parse('2026-01-01T12:00:00Z')
  const pseudonym = createPseudonyms(() => now)
  const first = pseudonym('203.0.113.7')
  t.match(first, /^[0-9a-f]{16}$/)
  t.equal(pseudonym('203.0.113.7'), first)
  t.not(pseudonym('203.0.113.8'), first)
  t.equal(pseudonym('2001:db8:0:1::5'), pseudonym('2001:db8:0:1:ffff::1'), 'one client is a /64')
  t.not(pseudonym('2001:db8:0:1::5'), pseudonym('2001:db8:0:2::5'))
  t.not(createPseudonyms(() => now)('203.0.113.7'), first, 'another process')
  now += 86_400_000
  t.not(pseudonym('203.0.113.7'), first, 'another day')
})

const watch = async (app: FastifyInstance, trail: { add(access: Access): void }, changes: Partial<WatchOptions> = {}) =>
  app.register(watchAccess, {
    trail,
    reads: { 'GET /api/v1/things': 'user_id', 'GET /api/v1/things/:id': 'user_id' },
    accounts: { 'POST /api/v1/auth/login': 'email' },
    accountHash: () => 'hash',
    log,
    onError: () => {},
    ...changes,
  })

/** A server with user 7 as caller, who has access to all data (header `staff`) or only to their own. */
const serve = async (t: Test, changes: Partial<WatchOptions> = {}) => {
  const seen: Access[] = []
  const app = await createHttp({ log, trustProxy: false, budgetMs: 1000, stopping: () => false, policyVersion: 'p1' })
  await watch(app, { add: (access) => seen.push(access) }, changes)
  app.addHook('onRequest', async (request) => {
    const scope = request.headers.staff ? 'all' : 'own'
    request.call = { ...request.call, actor: { type: 'user', id: '7' }, scope }
  })
  t.teardown(() => app.close())
  return { app, seen }
}

t.test('validation does not change the recorded resource id', async (t) => {
  const { app, seen } = await serve(t)
  const schema = { params: Type.Object({ id: Type.Integer() }) }
  app.patch('/api/v1/users/:id', { schema }, async () => {
    throw fail('auth.forbidden')
  })
  const { statusCode } = await app.inject({ method: 'PATCH', url: '/api/v1/users/12', body: { role: 'admin' } })
  t.equal(statusCode, 403)
  t.match(seen, [{ action: 'PATCH /api/v1/users/:id', resource: { type: 'users', id: '12' }, actor: { id: '7' } }])
})

t.test('an error in the hook is logged and counted, and does not change the response', async (t) => {
  const lines: string[] = []
  let errors = 0
  const { app } = await serve(t, {
    trail: {
      add: () => {
        throw new Error('a mistake')
      },
    },
    log: pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }),
    onError: () => errors++,
  })
  app.get('/api/v1/things', async () => {
    throw fail('auth.forbidden')
  })
  t.equal((await app.inject('/api/v1/things')).statusCode, 403)
  await eventually(() => errors === 1)
  t.match(lines.join(''), /"route":"\/api\/v1\/things".*recording a request on the audit trail failed/)
})

t.test('a 404 counts as a refusal only for callers whose access is limited to their own data', async (t) => {
  const { app, seen } = await serve(t)
  app.get('/api/v1/orders/:id', async () => {
    throw fail('order.not_found')
  })
  app.post('/api/v1/orders', async () => {
    throw fail('product.not_found')
  })
  await app.inject('/api/v1/orders/12')
  await app.inject({ url: '/api/v1/orders/13', headers: { staff: '1' } })
  await app.inject({ method: 'POST', url: '/api/v1/orders' })
  await app.inject('/api/v1/none/14')
  t.match(seen, [{ decision: 'denied', resource: { type: 'orders', id: '12' }, facts: { code: 'order.not_found', status: 404 } }])
  t.equal(seen.length, 1)
})

t.test('a read of other people’s data by staff is recorded with their ids', async (t) => {
  const { app, seen } = await serve(t)
  const staff = { headers: { staff: '1' } }
  app.get('/api/v1/things/:id', async (request) => ({
    success: true,
    data: { id: 1, user_id: Number((request.params as { id: string }).id) },
  }))
  app.get('/api/v1/things', async () => ({ success: true, data: [3, 7, 4, 3].map((user_id) => ({ user_id })) }))
  app.get('/api/v1/others', async () => ({ success: true, data: { user_id: 3 } }))
  await app.inject({ url: '/api/v1/things/3', ...staff })
  await app.inject({ url: '/api/v1/things', ...staff })
  for (const url of ['/api/v1/things/7', '/api/v1/others']) await app.inject({ url, ...staff })
  await app.inject({ method: 'HEAD', url: '/api/v1/things', ...staff })
  await app.inject('/api/v1/things')
  t.same(
    seen.map(({ action, decision, actor, resource, subjects, facts }) => [
      action,
      decision,
      actor.id,
      resource.id,
      subjects,
      facts,
    ]),
    [
      ['personal_data.read', 'approved', '7', '3', [], { route: 'GET /api/v1/things/:id' }],
      ['personal_data.read', 'approved', '7', null, ['3', '4'], { route: 'GET /api/v1/things' }],
    ],
    'data of others, not their own',
  )
})

t.test('reads are counted per person; with too many kinds, an entry still names the reader', async (t) => {
  const read = (id: string, changes: Partial<Access> = {}) =>
    refusal({
      action: 'personal_data.read',
      decision: 'approved',
      apart: true,
      resource: { type: 'user', id },
      facts: {},
      ...changes,
    })
  const bursts = createDenialAggregator({ maxKinds: 2 })
  for (const id of ['1', '2']) t.match(bursts.add(read(id), true), { first: { resource: { id } } })
  t.equal(bursts.add(read('1'), true), undefined)
  t.match(bursts.add(read('3'), true), { first: { actor: { id: '2' }, action: 'personal_data.read', resource: { id: null } } })
  for (const id of ['4', '5']) t.equal(bursts.add(read(id), true), undefined)
  t.match(bursts.due(20_000, 10), [
    { count: 1, first: { resource: { id: '1' } } },
    { count: 2, first: { actor: { id: '2' } } },
  ])

  const lists = createDenialAggregator()
  const list = (subjects: string[]) => lists.add(read('', { apart: false, resource: { type: 'user', id: null }, subjects }), true)
  for (const subjects of [['1'], ['2', '3'], ['3', '4']]) list(subjects)
  t.match(lists.due(20_000, 10), [{ count: 2, first: { subjects: ['2', '3', '4'] } }])
})

t.test('the hash of an account depends on the key ring, and is the same in every process that has it', async (t) => {
  const folders = ['one', 'two'].map((name) => join(t.testdir({ one: {}, two: {} }), name))
  for (const folder of folders) await initKeys(folder, ['user'])
  const [keys, again, others] = [folders[0], folders[0], folders[1]].map((folder) =>
    createKeyStore({ folder: folder as string, strict: false }),
  )
  if (!keys || !again || !others) throw new Error('missing keys')
  const hash = accountHash(keys, 'Ada@example.org')
  t.match(hash, /^[0-9a-f]{32}$/)
  t.equal(accountHash(again, 'ada@example.org'), hash, 'ignores case, in any process')
  t.not(accountHash(keys, 'bob@example.org'), hash)
  t.not(accountHash(others, 'ada@example.org'), hash)
  await rotateKeys({ folder: folders[0] as string, afterSeconds: 0, names: [] })
  t.equal(
    accountHash(createKeyStore({ folder: folders[0] as string, strict: false }), 'ada@example.org'),
    hash,
    'after a rotation',
  )
})

const start = async (t: Test, record: (input: { entries: AuditEntry[] }) => Promise<unknown>) => {
  const keysDir = join(t.testdir(), 'keys')
  await initKeys(keysDir, ['order'])
  const keys = createKeyStore({ folder: keysDir, strict: false })
  const refusals = createAccessTrail({
    service: 'order',
    keys,
    policyVersion: 'p1',
    record,
    finalCodes: ['audit.invalid_signature', 'audit.event_taken'],
    log,
  })
  return { keys, refusals }
}

t.test('refusals of this server are signed and recorded; forwarded ones are not', async (t) => {
  const entries: AuditEntry[] = []
  const { keys, refusals } = await start(t, async (input) => entries.push(...input.entries))
  const app = await createHttp({ log, trustProxy: false, budgetMs: 1000, stopping: () => false, policyVersion: 'p1' })
  await watch(app, refusals)
  app.get('/api/v1/things/:id', async () => {
    throw fail('auth.forbidden')
  })
  app.post('/api/v1/auth/login', async () => {
    throw fail('auth.invalid_credentials')
  })
  app.post('/internal/order/doIt', async () => {
    throw fail('auth.invalid_token')
  })
  app.get('/api/v1/limited', async () => {
    throw fail('request.rate_limited')
  })
  app.get('/api/v1/missing', async () => {
    throw fail('route.not_found')
  })
  app.get('/api/v1/passed-on', async (_request, reply) => reply.code(401).send({}))
  refusals.start()
  t.teardown(() => app.close())
  for (const url of [
    '/api/v1/things/12',
    '/api/v1/things/ada@example.org',
    '/api/v1/limited',
    '/api/v1/missing',
    '/api/v1/passed-on',
  ])
    await app.inject(url)
  await app.inject({ method: 'POST', url: '/api/v1/auth/login', body: { email: 'ada@example.org' } })
  await app.inject({ method: 'POST', url: '/internal/order/doIt' })

  await eventually(() => entries.length === 4)
  await refusals.close()
  const summaries = entries.map(({ action, resource, details }) => [
    action,
    resource.type,
    resource.id,
    details.status,
    details.count,
  ])
  t.same(summaries, [
    ['GET /api/v1/things/:id', 'things', '12', 403, 1],
    ['GET /api/v1/limited', 'limited', null, 429, 1],
    ['POST /api/v1/auth/login', 'account', 'hash', 401, 1],
    ['POST /internal/order/doIt', 'order', null, 401, 1],
    ['GET /api/v1/things/:id', 'things', null, 403, 1],
  ])
  for (const entry of entries) {
    t.ok(isSigned(keys, entry))
    t.match(entry, {
      decision: 'denied',
      policy_version: 'p1',
      service: 'order',
      actor: { type: 'anonymous', id: null },
      compliance_tags: ['access-control'],
      trace_id: /^[0-9a-f]{32}$/,
      span_id: /^[0-9a-f]{16}$/,
      details: { client: /^[0-9a-f]{16}$/ },
    })
  }
  t.notMatch(JSON.stringify(entries), /example\.org|127\.0\.0\.1/)
})

t.test('while the audit service is unavailable, refusals wait, and each is recorded once', async (t) => {
  let away = true
  let tries = 0
  const entries = new Map<string, AuditEntry>()
  const { refusals } = await start(t, async (input) => {
    tries++
    for (const entry of input.entries) {
      if ((entries.get(entry.event_id) ?? entry).signature !== entry.signature) t.fail('the entry differs in the next attempt')
      entries.set(entry.event_id, entry)
    }
    if (away) throw fail('audit.unavailable')
  })
  refusals.start()
  for (let n = 0; n < 600; n++) refusals.add(refusal({ at: Date.now(), client: `c${n}` }))
  await eventually(() => tries >= 3)
  t.equal(entries.size, 500, 'the first batch is retried')
  refusals.add(refusal({ at: Date.now(), client: 'c0' }))
  away = false
  await eventually(() => entries.size === 600)
  await refusals.close()
  t.equal(entries.size, 601, 'a shutdown writes open sums')
})
