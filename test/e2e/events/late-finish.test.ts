import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { storingServices } from '../../../src/environment.ts'
import { createAttempt } from '../../../src/modules/notification/delivery/attempt.ts'
import { createDeliveryRepository } from '../../../src/modules/notification/delivery/repository.ts'
import { createProviders } from '../../../src/modules/notification/providers.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { newTraceparent, newUuid } from '../../../src/platform/ids.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startProviders } from '../../../testing/providers.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(180_000)

const server = await startPostgres()
t.teardown(() => server.stop())
let databases = 0

/** Creates a database with the schema. */
const start = async (t: Test) => {
  const url = await server.createDatabase(`late_${++databases}`, storingServices)
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return { url, sql }
}

/** The repositories of two processes, and one message that is due. */
const twoProcesses = async (t: Test) => {
  const { url, sql } = await start(t)
  const retry = { attempts: 5, backoffMs: 100, longestBackoffMs: 1000 }
  const [a, b] = ['a', 'b'].map((applicationName) => {
    const db = createDatabase({ url, max: 2, statementTimeoutMs: 5000, applicationName })
    t.teardown(() => db.close())
    return createDeliveryRepository(db, retry)
  })
  if (!a || !b) throw new Error()
  await a.receive({
    event_id: newUuid(),
    event_type: 'order.created',
    order_id: 1,
    user_id: 2,
    content: { order_id: 1, total: 1, currency: 'TWD' },
    origin: {
      aggregate_id: '1',
      version: 1,
      actor: { type: 'service', id: 'order' },
      traceparent: newTraceparent(),
      policy_version: '',
      occurred_at: new Date().toISOString(),
    },
    messages: [{ channel: 'sms', status: 'pending', reason: null, limits: [] }],
  })
  const claim = async (repository: typeof a) => {
    const [message] = await repository.claim('sms', 10)
    if (!message) throw new Error('nothing is due')
    return message
  }
  const now = async () => (await sql`select status, reason, due_at from notifications.notifications`)[0]
  const letters = async () => (await sql`select from notifications.dead_letters`).length
  /** Lets the newest claim expire. */
  const past = sql`now() - interval '1 ms'` // The column rounds to milliseconds, up or down.
  const runOut = () => sql`update notifications.notifications set due_at = ${past}, claimed_until = ${past}`
  return { a, b, claim, now, letters, runOut }
}

t.test('a late finish does not overwrite a newer claim', async (t) => {
  const { a, b, claim, now, runOut } = await twoProcesses(t)
  const first = await claim(a)
  t.same(await b.claim('sms', 10), [], 'claimed only once')
  await runOut()
  const second = await claim(b)
  t.match(second, { id: first.id, uncertain: true })
  for (const status of ['failed', 'uncertain', 'skipped', 'pending'] as const) {
    await a.finish({ id: first.id, claim: first.claim, status, reason: 'late', tried: true })
    t.match(await now(), { status: 'sending', reason: null }, `${status}: B is still sending it`)
  }
  await b.finish({ id: second.id, claim: second.claim, status: 'sent', reason: null, tried: true })
  await a.finish({ id: first.id, claim: first.claim, status: 'failed', reason: 'late', tried: true })
  t.match(await now(), { status: 'sent', due_at: null })
})

t.test('a late report that a message was sent is accepted, and it is not sent again', async (t) => {
  for (const meanwhile of ['sending', 'uncertain', 'given up'] as const) {
    const { a, b, claim, now, letters, runOut } = await twoProcesses(t)
    const first = await claim(a)
    await runOut()
    let second = await claim(b)
    const fail = () => b.finish({ id: second.id, claim: second.claim, status: 'uncertain', reason: 'SMS: 500', tried: true })
    if (meanwhile !== 'sending') await fail()
    for (let n = 0; meanwhile === 'given up' && n < 4; n++) {
      await runOut()
      second = await claim(b)
      await fail()
    }
    await a.finish({ id: first.id, claim: first.claim, status: 'sent', reason: null, tried: true })
    await fail()
    t.match(await now(), { status: 'sent', reason: null, due_at: null }, meanwhile)
    t.equal(await letters(), 0, 'no dead letter')
    await runOut()
    t.same(await b.claim('sms', 10), [])
  }
})

t.test('a process that wakes up with a claim about to expire sends nothing', async (t) => {
  const { a, claim, now } = await twoProcesses(t)
  const providers = await startProviders()
  const dataDir = mkdtempSync(join(tmpdir(), 'orderhub-late-'))
  t.teardown(() => Promise.all([providers.stop(), rm(dataDir, { recursive: true, force: true })]))
  const ours = {
    mailFrom: 'Shop <a@shop.example>',
    publicUrl: undefined,
    smsFrom: 'Shop',
    dataDir,
    log: pino({ level: 'silent' }),
  }
  const real = createProviders({ ...ours, smtpUrl: undefined, smsUrl: providers.env.SMS_URL })
  t.teardown(() => real.close())
  const user = {
    ...({ id: 2, name: 'Ann', email: 'ann@example.com', phone: '+886900000002', role: 'user', locale: 'en' } as const),
    ...{ email_confirmed: true, phone_confirmed: true, created_at: new Date().toISOString() },
  } as const
  const direct = { run: <T>(send: () => Promise<T>) => send() }
  const attempt = createAttempt({
    repository: a,
    users: { getUser: async () => user },
    providers: real,
    breakers: { email: direct, sms: direct },
    log: ours.log,
  })
  const message = await claim(a)
  await attempt({ message, askedAt: { monotonic: performance.now() - 29_000, wall: Date.now() } })
  t.same([providers.sms.keys(), (await now())?.status], [[], 'pending'])
  const again = await claim(a)
  await attempt({ message: again, askedAt: { monotonic: performance.now(), wall: Date.now() } })
  t.same([providers.sms.keys(), (await now())?.status], [[again.event_id], 'sent'])
})

t.test('a process is paused while it sends a message, and resumes after another has claimed it', async (t) => {
  const { url, sql } = await start(t)
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-late-'))
  const tries: { key: string; answer(status: number): void }[] = []
  const provider = createServer((request, response) => {
    request.resume().on('end', () => {
      tries.push({ key: String(request.headers['idempotency-key']), answer: (status) => void response.writeHead(status).end() })
    })
  })
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
  const env = {
    DATABASE_URL: url,
    DATA_DIR: folder,
    SEED: 'true',
    SMS_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/`,
  }
  const a = await startService('all', env)
  const b = await startService('all', env)
  t.teardown(async () => {
    a.resume()
    await Promise.all([a.kill(), b.kill()])
    provider.closeAllConnections()
    provider.close()
    await rm(folder, { recursive: true, force: true })
  })
  const noteOf = async () => (await sql`select status, due_at from notifications.notifications where channel = 'sms'`)[0]

  b.pause()
  await call(`${a.url}/api/v1/orders`, 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
  await eventually(() => tries.length === 1, { timeoutMs: 30_000 })
  a.pause()
  b.resume()
  await eventually(() => tries.length === 2, { timeoutMs: 90_000 })
  // When A resumes, its provider call has timed out and its claim has expired: it reports a failure while B is sending.
  a.resume()
  await eventually(() => /message not sent|event handler failed/.test(a.output()))
  t.equal((await noteOf())?.status, 'sending', 'B has the claim')
  tries[1]?.answer(202)
  await eventually(async () => (await noteOf())?.status === 'sent')
  t.same([await a.stop(), await b.stop()], [0, 0])
  t.match(await noteOf(), { status: 'sent', due_at: null }, 'unchanged')
  const [first, ...others] = tries.map(({ key }) => key)
  t.same(others, [first], 'one more attempt, with the same key')
})
