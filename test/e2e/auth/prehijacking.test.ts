import { generateSync } from 'otplib'
import postgres from 'postgres'
import t from 'tap'
import { bearer, mailedToken, newPerson, password, reauthenticate, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { reauthenticated } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

t.setTimeout(180_000)
const run = await runApp(t, { AUTH: 'on' })
const { api, dataDir, keysDir } = run
const sql = postgres(run.databaseUrl, { max: 2, onnotice: () => {} })
t.teardown(() => sql.end())
const phone = '+886912345678'

let count = 0
/** An attacker registers with the victim's address, and signs in. */
const stranger = async () => {
  const email = `victim-${process.pid}-${++count}@example.com`
  const { body } = await api('/users', 'POST', { name: 'Stranger', email, phone, password })
  const { access_token, refresh_token } = (await signIn(run, email)).body.data
  const headers = bearer(access_token)
  return { id: body.data.id as number, email, headers, refresh_token, proven: await reauthenticate(run, headers) }
}
const ownPassword = 'the owner of this mailbox'

t.test('second factor, phone and address cannot be changed before the address is confirmed', async (t) => {
  const { id, headers, proven } = await stranger()
  const attempts: [string, string, object?][] = [
    ['/auth/mfa/enrol', 'POST'],
    ['/auth/mfa/confirm', 'POST', { code: '123456' }],
    [`/users/${id}`, 'PATCH', { phone: '+886987654321' }],
    [`/users/${id}`, 'PATCH', { email: 'mine@example.com' }],
  ]
  for (const [path, method, body] of attempts) isProblem(t, await api(path, method, body, proven), 403, 'user.email_unconfirmed')
  t.match((await api('/auth/me', 'GET', undefined, headers)).body.data, { phone_confirmed: false, mfa_enrolled: false })
  t.equal((await api(`/users/${id}`, 'PATCH', { name: 'Somebody' }, headers)).status, 200)
})

t.test('the first reset by mail removes what an attacker has set, and the owner can sign in', async (t) => {
  const { id, email, headers, refresh_token } = await stranger()
  // An account of the previous version, which let unconfirmed users enrol.
  await sql`insert into users.second_factors (user_id, secret, confirmed_at) values (${id}, ''::bytea, now())`
  await sql`insert into users.recovery_codes (user_id, code_hash) values (${id}, 'code'::bytea)`
  await api('/auth/password/forgot', 'POST', { email })
  const { token } = await mailedToken(dataDir, id, 2)
  t.equal((await api('/auth/password/reset', 'POST', { token, password: ownPassword })).status, 200)

  isProblem(t, await signIn(run, email), 401, 'auth.invalid_credentials')
  isProblem(t, await api('/auth/me', 'GET', undefined, headers), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token }), 401, 'auth.invalid_token')
  const owner = bearer((await signIn(run, email, { password: ownPassword })).body.data.access_token)
  const me = { email, email_confirmed: true, phone: null, phone_confirmed: false, mfa_enrolled: false }
  t.match((await api('/auth/me', 'GET', undefined, owner)).body.data, me)
  const [left] = await sql`select count(*)::int as n from users.recovery_codes where user_id = ${id}`
  t.equal(left?.n, 0)
})

t.test("a later reset keeps the owner's second factor", async (t) => {
  const { id, email } = await newPerson(run, { phone })
  const proven = await reauthenticate(run, bearer((await signIn(run, email)).body.data.access_token))
  const { secret } = (await api('/auth/mfa/enrol', 'POST', undefined, proven)).body.data
  t.equal((await api('/auth/mfa/confirm', 'POST', { code: generateSync({ secret }) }, proven)).status, 200)
  await api('/auth/password/forgot', 'POST', { email })
  const { token } = await mailedToken(dataDir, id)
  t.equal((await api('/auth/password/reset', 'POST', { token, password: ownPassword })).status, 200)
  isProblem(t, await signIn(run, email, { password: ownPassword }), 401, 'auth.otp_required')
  t.match((await api(`/users/${id}`, 'GET', undefined, await reauthenticated(keysDir, 1))).body.data, { phone })
})

t.test("the link without the account's password does not confirm the address", async (t) => {
  const { id, email, headers } = await stranger()
  const { token } = await mailedToken(dataDir, id)
  isProblem(t, await api('/auth/activate', 'POST', { token }), 400, 'request.invalid')
  isProblem(t, await api('/auth/activate', 'POST', { token, password: ownPassword }), 401, 'auth.invalid_credentials')
  t.equal((await api('/auth/me', 'GET', undefined, headers)).body.data.email_confirmed, false)

  t.equal((await api('/auth/activate', 'POST', { token, password })).status, 200, 'confirmed with the password')
  t.match((await api('/auth/me', 'GET', undefined, headers)).body.data, { email, email_confirmed: true })
  const proven = await reauthenticate(run, headers)
  t.equal((await api('/auth/mfa/enrol', 'POST', undefined, proven)).status, 200)
})
