import postgres from 'postgres'
import t, { type Test } from 'tap'
import { bearer, mailedToken, mailsOf, newPerson, password } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { startProviders } from '../../../testing/providers.ts'

t.setTimeout(120_000)

const start = async (t: Test, env: Record<string, string> = {}) => {
  const run = await runApp(t, { AUTH: 'on', ...env })
  const sql = postgres(run.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const admin = await signedIn(run.keysDir, 1)
  const buy = async (headers: Record<string, string>, more: object = {}): Promise<number> => {
    const { status, body } = await run.api('/orders', 'POST', { items: [{ product_id: 2, quantity: 1 }], ...more }, headers)
    if (status !== 201) throw new Error(JSON.stringify(body))
    return body.data.id
  }
  /** Waits for `count` messages of a user; returns their number by channel, status and reason. */
  const messages = (userId: number, count: number) =>
    eventually(async () => {
      const rows = await sql`
        select concat_ws(' ', channel, status, reason) as what, count(*)::int as n from notifications.notifications
         where user_id = ${userId} and status not in ('pending', 'sending') group by 1 order by 1`
      const found = rows.reduce((sum, { n }) => sum + n, 0)
      if (found !== count) throw new Error(JSON.stringify(rows))
      return Object.fromEntries(rows.map(({ what, n }) => [what, n]))
    })
  return { ...run, admin, buy, messages }
}

t.test('an unconfirmed address gets one mail without text from the user; held mails are sent when it is confirmed', async (t) => {
  const run = await start(t)
  const { api, dataDir, buy, messages } = run
  const person = { name: 'You have won', email: 'victim@example.com', phone: '+886912345678', password }
  const { id } = (await api('/users', 'POST', person)).body.data
  const { mail, token } = await mailedToken(dataDir, id)
  const self = await signedIn(run.keysDir, id)
  for (let n = 0; n < 15; n++) t.equal((await api(`/orders/${await buy(self)}/cancel`, 'POST', undefined, self)).status, 200)
  t.same(await messages(id, 60), { 'email held user.email_unconfirmed': 30, 'sms skipped user.phone_unconfirmed': 30 })
  t.equal(mailsOf(dataDir, id).length, 1, 'one mail, to confirm the address')
  t.match(mail.parts['text/plain'], /^Hello,\n/)
  for (const part of [mail.subject, ...Object.values(mail.parts)]) t.notMatch(part, 'won')

  const [held] = (await api(`/notifications?user_id=${id}&status=held`, 'GET', undefined, run.admin)).body.data
  t.equal(
    (await api(`/notifications/${held.id}/retry`, 'POST', undefined, run.admin)).status,
    409,
    'staff cannot send a held mail either',
  )
  t.equal((await api('/auth/activate', 'POST', { token, password })).status, 200)
  await eventually(async () => (await messages(id, 60))['email sent'] === 30)
  t.equal(mailsOf(dataDir, id).length, 31)
  await buy(self)
  t.match(await messages(id, 62), { 'email sent': 31 })
})

t.test('mails and SMS that users cause to themselves are limited; staff see the limit and can send them', async (t) => {
  const providers = await startProviders()
  t.teardown(() => providers.stop())
  const run = await start(t, { MAIL_LIMIT_PER_HOUR: '6', SMS_LIMIT_PER_HOUR: '4', ...providers.env })
  const { api, buy, messages, admin } = run
  const { id } = await newPerson(run, { phone: '+886911000111' })
  const self = await signedIn(run.keysDir, id)
  await Promise.all(Array.from({ length: 20 }, () => buy(self)))
  const limited = { 'email limited limit.account': 14, 'email sent': 6, 'sms limited limit.account': 16, 'sms sent': 4 }
  t.same(await messages(id, 40), limited, 'also for concurrent orders')

  const other = await newPerson(run, { phone: '+886911000111' })
  await buy(await signedIn(run.keysDir, other.id))
  t.same(await messages(other.id, 2), { 'email sent': 1, 'sms limited limit.recipient': 1 }, 'a phone number has its own limit')

  await buy(admin, { user_id: id })
  t.same(await messages(id, 42), { ...limited, 'email sent': 7, 'sms sent': 5 }, 'messages that staff cause are not counted')
  const { data } = (await api(`/notifications?user_id=${id}&status=limited`, 'GET', undefined, admin)).body
  t.equal((await api(`/notifications/${data[0].id}/retry`, 'POST', undefined, admin)).status, 202)
  await eventually(async () => {
    const { body } = await api(`/notifications/${data[0].id}`, 'GET', undefined, bearerOf(admin))
    return body.data.status === 'sent'
  })
})

const bearerOf = (headers: Record<string, string>) => bearer((headers.authorization ?? '').replace('Bearer ', ''))

t.test('users of the sample data, and those whom an administrator creates, get e-mail and SMS at once', async (t) => {
  const run = await start(t)
  await run.buy(await signedIn(run.keysDir, 2))
  t.same(await run.messages(2, 2), { 'email sent': 1, 'sms sent': 1 })
  const made = await newPerson(run, { phone: '+886911000222' })
  await run.buy(await signedIn(run.keysDir, made.id))
  t.same(await run.messages(made.id, 2), { 'email sent': 1, 'sms sent': 1 })
})
