import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import t from 'tap'
import { password } from '../../../testing/accounts.ts'
import { call, runApp } from '../../../testing/app.ts'
import { asService } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

const { url, api, keysDir, databaseUrl } = await runApp(t, { AUTH: 'on', SERVICE: 'user' })
const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
t.teardown(() => sql.end())
const ownPassword = 'the owner of this mailbox'

/** Calls as the notification service does, with its own key. */
const ask = async (body: object) =>
  call(`${url}/internal/user/issueMailToken`, 'POST', body, await asService(keysDir, 'notification', 'user'))
const eventOf = async (userId: number, purpose: string): Promise<string> => {
  const [row] = await sql`
    select event_id from users.mail_requests where user_id = ${userId} and purpose = ${purpose} order by created_at desc limit 1`
  return row?.event_id ?? 'none'
}
const reset = (token: string) => api('/auth/password/reset', 'POST', { token, password: ownPassword })

t.test('only an event that requested a mail gets a token, and only for its purpose', async (t) => {
  const email = 'ada@example.com'
  const { id } = (await api('/users', 'POST', { name: 'Ada', email, password })).body.data
  isProblem(t, await ask({ user_id: id, purpose: 'reset' }), 400, 'request.invalid')
  isProblem(t, await ask({ event_id: randomUUID() }), 404, 'user.not_found')
  const [created] = await sql`select id from users.outbox where type = 'user.created' and aggregate_id = ${String(id)}`
  isProblem(t, await ask({ event_id: created?.id }), 404, 'user.not_found')

  const activation = await eventOf(id, 'activation')
  const first = await ask({ event_id: activation })
  t.match(first.body, { user_id: id, purpose: 'activation', email, token: /^[\w-]{43}$/ })
  isProblem(t, await reset(first.body.token), 400, 'auth.invalid_mail_token')

  await api('/auth/password/forgot', 'POST', { email })
  const asked = await eventOf(id, 'reset')
  const once = await ask({ event_id: asked })
  const again = await ask({ event_id: asked })
  t.equal(again.status, 200, 'again for each attempt')
  isProblem(t, await reset(once.body.token), 400, 'auth.invalid_mail_token')
  t.equal((await reset(again.body.token)).status, 200, 'the newest token is valid')
  for (const event_id of [asked, activation]) isProblem(t, await ask({ event_id }), 404, 'user.not_found')
})

t.test('an event gets no token after a day', async (t) => {
  const email = 'grace@example.com'
  const { id } = (await api('/users', 'POST', { name: 'Grace', email, password })).body.data
  const event_id = await eventOf(id, 'activation')
  await sql`update users.mail_requests set expires_at = now() where user_id = ${id}`
  isProblem(t, await ask({ event_id }), 404, 'user.not_found')
})
