import postgres from 'postgres'
import t from 'tap'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'

t.setTimeout(180_000)

/** Concurrent messages of each channel, concurrent events of each queue, and SMTP connections for mails about orders. */
const workers = 5

const providers = await startProviders()
t.teardown(() => providers.stop())
const { email, sms } = providers
const { api, databaseUrl } = await runApp(
  t,
  { ...providers.env, WORKERS: String(workers), REQUEST_TIMEOUT_MS: '60000' },
  { queue: { backoffMs: 100 } },
)

let orders = 0
const place = async (count: number) => {
  const order = () => api('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
  const placed = await Promise.all(Array.from({ length: count }, order))
  t.ok(placed.every(({ status }) => status === 201))
  orders += count
}

t.test('an SMS provider that hangs does not delay mails', async (t) => {
  sms.behave('hang')
  // SMS for two workers: if the worker of mails took any, no place would be left for a mail.
  await place(2 * workers)
  await eventually(() => sms.hanging() >= workers && email.keys().length === orders, { timeoutMs: 30_000 })
  await place(1)
  await eventually(() => email.keys().length === orders, { timeoutMs: 30_000 })
  t.same([sms.hanging(), sms.abandoned()], [workers, 0], 'the first SMS still hang, and no others are tried')
  sms.behave('accept')
})

t.test('a password reset mail is sent before mails about orders', async (t) => {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  email.behave('hang')
  await place(workers)
  await eventually(() => email.hanging() === workers)
  email.behave('accept')
  const before = email.keys().length
  await sql.begin(async (tx) => {
    // Events about orders wait too: their messages cannot be recorded.
    await tx`lock table notifications.notifications in share row exclusive mode`
    await place(workers)
    t.equal((await api('/auth/password/forgot', 'POST', { email: 'xiaohua@example.com' })).status, 202)
    await eventually(() => email.keys().length > before, { timeoutMs: 20_000 })
    const subjects = email.keys().map((key) => email.copies(key)[0]?.subject)
    t.same(subjects.slice(before), ['設定新密碼'])
    t.same([email.hanging(), email.abandoned()], [workers, 0], 'the mails about orders still hang')
  })
})

t.test('all messages are sent when the providers accept them', async () => {
  await eventually(() => email.keys().length === orders + 1 && sms.keys().length === orders, { timeoutMs: 120_000 })
})
