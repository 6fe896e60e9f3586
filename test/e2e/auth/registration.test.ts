import postgres from 'postgres'
import t from 'tap'
import { bearer, mailedToken, newPerson, password, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { reauthenticated, signedIn } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

t.test('open: anybody can create an account with role user', async (t) => {
  const run = await runApp(t, { AUTH: 'on' })
  const { api } = run
  const person = { name: 'Grace', email: 'grace@example.com', password }
  const register = (fields: object, headers = {}) => api('/users', 'POST', { ...person, ...fields }, headers)

  for (const role of ['admin', 'support', 'auditor']) isProblem(t, await register({ role }), 403, 'auth.forbidden')
  isProblem(t, await register({ password: undefined }), 400, 'request.invalid', { errors: [{ field: '/body/password' }] })
  isProblem(t, await register({ password: 'short' }), 400, 'request.invalid')
  isProblem(t, await register({ password: 'x'.repeat(129) }), 400, 'request.invalid')
  const own = { email: 'long-enough@example.com', password: 'Long-Enough@example.com' }
  isProblem(t, await register(own), 400, 'user.password_personal')
  isProblem(t, await register({ password: ' '.repeat(8) }), 400, 'user.password_too_short')
  isProblem(t, await register({ password: 'pass\u0007word phrase' }), 400, 'request.invalid')
  const common = await register({ password: '１２３４５６７８' }, { 'accept-language': 'zh-TW' })
  isProblem(t, common, 400, 'user.password_too_common', { detail: /^此密碼太常見/, field: '/body/password' })
  isProblem(t, await register({ status: 'active' }), 400, 'request.invalid')

  const created = await register({ role: 'user', locale: 'zh-TW' })
  t.equal(created.status, 201)
  t.match(created.body.data, { name: 'Grace', role: 'user', locale: 'zh-TW', phone: null })
  t.notMatch(JSON.stringify(created.body), password)
  isProblem(t, await register({ email: 'GRACE@example.com' }), 409, 'user.email_taken')

  const { access_token } = (await signIn(run, 'grace@example.com')).body.data
  const self = bearer(access_token)
  isProblem(t, await register({ email: 'second@example.com' }, self), 403, 'auth.forbidden')
  isProblem(t, await api(`/users/${created.body.data.id}`, 'PATCH', { role: 'admin' }, self), 403, 'auth.forbidden')
  const changed = await api(`/users/${created.body.data.id}`, 'PATCH', { name: 'Hopper' }, self)
  t.match(changed.body.data, { name: 'Hopper', role: 'user' })

  const support = await newPerson(run, { role: 'support' })
  isProblem(t, await register({ email: 'third@example.com' }, await signedIn(run.keysDir, support.id)), 403, 'auth.forbidden')
})

t.test('verify: the mailed token activates the account, once', async (t) => {
  const run = await runApp(t, { AUTH: 'on', REGISTRATION: 'verify', PUBLIC_URL: 'https://shop.example/' })
  const { api, dataDir } = run
  const { body } = await api('/users', 'POST', { name: '葛蕾絲', email: 'grace@example.com', password, locale: 'zh-TW' })
  const { id } = body.data
  isProblem(t, await signIn(run, 'grace@example.com'), 403, 'auth.not_activated')
  isProblem(t, await signIn(run, 'grace@example.com', { password: 'wrong one' }), 401, 'auth.invalid_credentials')

  const { mail, token } = await mailedToken(dataDir, id)
  t.match(mail, { to: 'grace@example.com', subject: '啟用您的帳號' })
  t.match(mail.parts['text/plain'], `https://shop.example/activate?lang=zh-TW#token=${token}`)
  t.match(mail.parts['text/plain'], /^您好：/, 'no name: the address is not confirmed')
  t.match(mail.parts['text/html'], token)

  isProblem(t, await api('/auth/activate', 'POST', { token: 'x', password }), 400, 'auth.invalid_mail_token')
  isProblem(t, await api('/auth/password/reset', 'POST', { token, password }), 400, 'auth.invalid_mail_token')
  const answers = await Promise.all(Array.from({ length: 5 }, () => api('/auth/activate', 'POST', { token, password })))
  t.same(answers.map(({ status }) => status).sort(), [200, 400, 400, 400, 400])
  t.equal((await signIn(run, 'grace@example.com')).status, 200)

  const made = await newPerson(run)
  t.equal((await signIn(run, made.email)).status, 200, 'accounts that an administrator creates are active at once')
})

t.test('off: only an administrator creates accounts', async (t) => {
  const run = await runApp(t, { AUTH: 'on', REGISTRATION: 'off' })
  const refused = await run.api('/users', 'POST', { name: 'G', email: 'g@example.com', password })
  isProblem(t, refused, 403, 'auth.registration_closed')
  const made = await newPerson(run, { role: 'auditor' })
  t.match(made, { role: 'auditor' })
})

t.test('the last administrator cannot be removed', async (t) => {
  const run = await runApp(t, { AUTH: 'on' })
  const admin = await signedIn(run.keysDir, 1)
  isProblem(t, await run.api('/users/1', 'PATCH', { role: 'user' }, admin), 409, 'user.last_admin')
  isProblem(t, await run.api('/users/1', 'DELETE', undefined, await reauthenticated(run.keysDir, 1)), 409, 'user.last_admin')
  t.equal((await run.api('/users/1', 'PATCH', { role: 'admin', name: 'Root' }, admin)).status, 200)
  await newPerson(run, { role: 'admin' })
  t.equal((await run.api('/users/1', 'PATCH', { role: 'user' }, admin)).status, 200)
})

t.test('concurrent removal of all administrators leaves one', async (t) => {
  const run = await runApp(t, { AUTH: 'off' })
  for (let round = 0; round < 5; round++) {
    const admins = (await run.api('/users')).body.data.filter(({ role }: { role: string }) => role === 'admin')
    const more = await Promise.all([1, 2, 3, 4, 5].map(() => newPerson(run, { role: 'admin' })))
    const ids: number[] = [...admins, ...more].map(({ id }) => id)
    const answers = await Promise.all(
      ids.map((id, n) => (n % 2 ? run.api(`/users/${id}`, 'DELETE') : run.api(`/users/${id}`, 'PATCH', { role: 'user' }))),
    )
    t.same(answers.map(({ status }) => status).sort(), [...ids.slice(1).map(() => 200), 409], `round ${round}`)
  }
})

t.test('registrations are limited per mailbox and per client, because each sends a mail', async (t) => {
  const { api, databaseUrl } = await runApp(t, { AUTH: 'on' })
  const register = (email: string) => api('/users', 'POST', { name: 'Grace', email, password })
  t.equal((await register('grace@example.com')).status, 201)
  for (let n = 0; n < 2; n++) isProblem(t, await register('GRACE@example.com'), 409, 'user.email_taken')
  isProblem(t, await register('grace@example.com'), 429, 'auth.too_many_attempts')
  t.equal((await register('hopper@example.com')).status, 201, 'another mailbox')

  const sql = postgres(databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  await sql`update users.sign_in_attempts set failures = 100`
  isProblem(t, await register('third@example.com'), 429, 'auth.too_many_attempts')
  t.equal((await sql`select from users.users where status <> 'erased' and email_confirmed_at is null`).length, 2)
})
