import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'

t.setTimeout(180_000)

/** More orders for a measurement: `ORDERS=6000 node test/e2e/events/channels.test.ts`. */
const orders = Number(process.env.ORDERS ?? amounts.ordersBeforeMail)

t.test('an SMS provider that hangs does not delay mails, and a password reset is sent before mails about orders', async (t) => {
  const providers = await startProviders()
  t.teardown(() => providers.stop())
  const { api } = await runApp(t, providers.env)
  const { email, sms } = providers
  sms.behave('hang')
  const order = () => api('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
  const placing = performance.now()
  for (let n = 0; n < orders; n += 10) await Promise.all(Array.from({ length: 10 }, order))
  const asked = performance.now()
  t.equal((await api('/auth/password/forgot', 'POST', { email: 'xiaohua@example.com' })).status, 202)
  const subjects = () => email.keys().map((key) => email.copies(key)[0]?.subject)
  await eventually(() => subjects().includes('設定新密碼'), { timeoutMs: 150_000 })
  t.comment(
    `${orders} orders in ${Math.round(asked - placing)} ms; reset mail sent after ${Math.round(performance.now() - asked)} ms`,
  )
  t.same(sms.keys(), [], 'no SMS was accepted meanwhile')
  await eventually(() => email.keys().length === orders + 1, { timeoutMs: 150_000 })
  t.comment(`all mails sent after ${Math.round(performance.now() - asked)} ms`)
  const status = async (channel: string) => {
    const { data } = (await api('/notifications?limit=100')).body
    return new Set(
      data.filter((one: { channel: string }) => one.channel === channel).map((one: { status: string }) => one.status),
    )
  }
  t.notOk((await status('sms')).has('sent'))

  sms.behave('accept')
  // The SMS in flight have timed out; the circuit breaker allows the provider again after a pause.
  if (orders <= 500) await eventually(() => sms.keys().length === orders, { timeoutMs: 120_000 })
})
