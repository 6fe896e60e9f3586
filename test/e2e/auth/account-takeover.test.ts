import t from 'tap'
import { bearer, mailedToken, mailsOf, newPerson, password, reauthenticate, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

t.setTimeout(180_000)
const run = await runApp(t, { AUTH: 'on' })
const { api, dataDir } = run
const phone = '+886912345678'

const person = async (fields: object = {}) => {
  const made = await newPerson(run, fields)
  const { access_token, refresh_token } = (await signIn(run, made.email)).body.data
  return { ...made, headers: bearer(access_token), refreshToken: refresh_token as string }
}
const subjects = (userId: number) => mailsOf(dataDir, userId).map(({ to, subject }) => `${to} ${subject}`)
const changedMail = (address: string) => `${address} Your account was changed`

t.test('a stolen access token cannot do what needs the password', async (t) => {
  const victim = await person({ phone })
  const attempts: [string, string, object?][] = [
    [`/users/${victim.id}`, 'PATCH', { email: 'thief@example.com' }],
    [`/users/${victim.id}`, 'PATCH', { name: 'T', phone: '+886987654321' }],
    [`/users/${victim.id}`, 'PATCH', { phone: null }],
    [`/users/${victim.id}`, 'DELETE'],
    ['/auth/mfa/enrol', 'POST'],
    ['/auth/mfa/confirm', 'POST', { code: '123456' }],
  ]
  for (const [path, method, body] of attempts) {
    const answer = await api(path, method, body, victim.headers)
    isProblem(t, answer, 401, 'auth.reauthentication_required')
    t.match(answer.headers.get('www-authenticate'), 'error="insufficient_user_authentication"')
  }
  isProblem(
    t,
    await api('/auth/reauthenticate', 'POST', { password: 'a guess' }, victim.headers),
    401,
    'auth.invalid_credentials',
  )
  isProblem(t, await api('/auth/reauthenticate', 'POST', { password }), 401, 'auth.required')
  const { data } = (await api('/auth/me', 'GET', undefined, victim.headers)).body
  t.match(data, { email: victim.email, phone, mfa_enrolled: false })
  t.equal((await api(`/users/${victim.id}`, 'PATCH', { name: 'Ada L.', email: victim.email, phone }, victim.headers)).status, 200)

  const admin = await signedIn(run.keysDir, 1)
  isProblem(t, await api('/users/1', 'PATCH', { email: 'thief@example.com' }, admin), 401, 'auth.reauthentication_required')
})

t.test('reauthentication with the password gives an elevated token for five minutes', async (t) => {
  const owner = await person()
  const answer = await api('/auth/reauthenticate', 'POST', { password }, owner.headers)
  t.match(answer.body.data, { token_type: 'Bearer', expires_in: 300 })
  t.notOk('refresh_token' in answer.body.data)
  t.equal((await api('/auth/mfa/enrol', 'POST', undefined, bearer(answer.body.data.access_token))).status, 200)
  const refreshed = await api('/auth/refresh', 'POST', { refresh_token: owner.refreshToken })
  const later = bearer(refreshed.body.data.access_token)
  isProblem(t, await api('/auth/mfa/enrol', 'POST', undefined, later), 401, 'auth.reauthentication_required')
})

t.test('a new address must be confirmed by mail, the old one is notified, and every session ends', async (t) => {
  const owner = await person()
  const next = `next-${owner.email}`
  const proven = await reauthenticate(run, owner.headers)
  isProblem(t, await api(`/users/${owner.id}`, 'PATCH', { email: 'xiaohua@example.com' }, proven), 409, 'user.email_taken')
  const asked = await api(`/users/${owner.id}`, 'PATCH', { email: next, name: 'Ada' }, proven)
  t.match(asked.body.data, { email: owner.email, email_confirmed: true })
  t.equal((await api('/auth/me', 'GET', undefined, owner.headers)).body.data.pending_email, next)
  isProblem(t, await signIn(run, next), 401, 'auth.invalid_credentials')

  const { mail, token } = await mailedToken(dataDir, owner.id)
  t.equal(mail.to, next)
  t.notMatch(mail.parts['text/plain'], 'Ada', 'no text from the user to an unconfirmed address')
  await eventually(() => subjects(owner.id).includes(changedMail(owner.email)))

  isProblem(t, await api('/auth/activate', 'POST', { token }), 400, 'request.invalid')
  isProblem(t, await api('/auth/activate', 'POST', { token, password: 'a guess' }), 401, 'auth.invalid_credentials')
  t.equal((await api('/auth/me', 'GET', undefined, owner.headers)).body.data.email, owner.email)
  t.equal((await api('/auth/activate', 'POST', { token, password })).status, 200)
  isProblem(t, await api('/auth/activate', 'POST', { token, password }), 400, 'auth.invalid_mail_token')
  for (const headers of [owner.headers, proven])
    isProblem(t, await api('/auth/me', 'GET', undefined, headers), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token: owner.refreshToken }), 401, 'auth.invalid_token')
  isProblem(t, await signIn(run, owner.email), 401, 'auth.invalid_credentials')
  const again = bearer((await signIn(run, next)).body.data.access_token)
  t.match((await api('/auth/me', 'GET', undefined, again)).body.data, {
    email: next,
    email_confirmed: true,
    pending_email: undefined,
  })
  await eventually(() => subjects(owner.id).filter((subject) => subject === changedMail(owner.email)).length === 2)
})

t.test('a pending address is dropped by a reset, by a newer address, and by entering the current one', async (t) => {
  const owner = await person()
  const proven = await reauthenticate(run, owner.headers)
  const ask = (email: string, headers = proven) => api(`/users/${owner.id}`, 'PATCH', { email }, headers)
  await ask('first@example.com')
  const first = await mailedToken(dataDir, owner.id)
  await ask('second@example.com')
  const second = await mailedToken(dataDir, owner.id, 2)
  isProblem(t, await api('/auth/activate', 'POST', { token: first.token, password }), 400, 'auth.invalid_mail_token')
  t.equal((await ask(owner.email, owner.headers)).status, 200)
  isProblem(t, await api('/auth/activate', 'POST', { token: second.token, password }), 400, 'auth.invalid_mail_token')
  await ask('third@example.com')
  const third = await mailedToken(dataDir, owner.id, 3)
  await api('/auth/password/forgot', 'POST', { email: owner.email })
  const { token } = await mailedToken(dataDir, owner.id, 4)
  t.equal((await api('/auth/password/reset', 'POST', { token, password })).status, 200)
  isProblem(t, await api('/auth/activate', 'POST', { token: third.token, password }), 400, 'auth.invalid_mail_token')
  const again = bearer((await signIn(run, owner.email)).body.data.access_token)
  t.equal((await api('/auth/me', 'GET', undefined, again)).body.data.pending_email, undefined)
})

t.test('an administrator changes an address at once; its user is notified and must sign in again', async (t) => {
  const owner = await person()
  const admin = await signedIn(run.keysDir, 1)
  const next = `moved-${owner.email}`
  const moved = await api(`/users/${owner.id}`, 'PATCH', { email: next, phone }, admin)
  t.match(moved.body.data, { email: next, email_confirmed: true, phone, phone_confirmed: true })
  isProblem(t, await api('/auth/me', 'GET', undefined, owner.headers), 401, 'auth.invalid_token')
  t.equal((await signIn(run, next)).status, 200)
  await eventually(() => subjects(owner.id).includes(changedMail(owner.email)))
})

t.test('an administrator confirms an address and phone by setting the same values', async (t) => {
  const email = `unconfirmed-${process.pid}@example.com`
  const { body } = await api('/users', 'POST', { name: 'Grace', email, phone, password })
  const confirmed = await api(`/users/${body.data.id}`, 'PATCH', { email, phone }, await signedIn(run.keysDir, 1))
  t.match(confirmed.body.data, { email, email_confirmed: true, phone, phone_confirmed: true })
})

t.test('users who change their phone must confirm it, and their address is notified', async (t) => {
  const owner = await person({ phone })
  const changed = await api(`/users/${owner.id}`, 'PATCH', { phone: '+886987654321' }, await reauthenticate(run, owner.headers))
  t.match(changed.body.data, { phone: '+886987654321', phone_confirmed: false })
  await eventually(() => subjects(owner.id).includes(changedMail(owner.email)))
})

t.test('users can erase their own account only after reauthentication', async (t) => {
  const owner = await person()
  t.equal((await api(`/users/${owner.id}`, 'DELETE', undefined, await reauthenticate(run, owner.headers))).status, 200)
  isProblem(t, await signIn(run, owner.email), 401, 'auth.invalid_credentials')
})
