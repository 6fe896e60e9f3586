import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'

t.setTimeout(180_000)

/** `ORDERS=6000 node test/e2e/events/channels.test.ts` measures with more. */
const orders = Number(process.env.ORDERS ?? amounts.ordersBeforeMail)

t.test('an SMS provider that hangs keeps no mail waiting, and a password reset goes before mails about orders', async (t) => {
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
    `${orders} orders in ${Math.round(asked - placing)} ms; the reset mail came after ${Math.round(performance.now() - asked)} ms`,
  )
  t.same(sms.keys(), [], 'while not one SMS was taken')
  await eventually(() => email.keys().length === orders + 1, { timeoutMs: 150_000 })
  t.comment(`every mail after ${Math.round(performance.now() - asked)} ms`)
  const status = async (channel: string) => {
    const { data } = (await api('/notifications?limit=100')).body
    return new Set(
      data.filter((one: { channel: string }) => one.channel === channel).map((one: { status: string }) => one.status),
    )
  }
  t.notOk((await status('sms')).has('sent'))

  sms.behave('accept')
  // Those that were under way have timed out, and the provider is tried again after a rest.
  if (orders <= 500) await eventually(() => sms.keys().length === orders, { timeoutMs: 120_000 })
})
