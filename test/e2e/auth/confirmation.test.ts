import t from 'tap'
import { bearer, mailedToken, mailsOf, newPerson, password, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { signedIn } from '../../../testing/people.ts'

const phone = '+886912345678'

t.test('a new user is unconfirmed until they follow the mailed link, and can use the account meanwhile', async (t) => {
  const run = await runApp(t, { AUTH: 'on' })
  const { api, dataDir } = run
  const created = await api('/users', 'POST', { name: 'Grace', email: 'grace@example.com', phone, password })
  t.match(created.body.data, { email_confirmed: false, phone_confirmed: false })
  const { id } = created.body.data
  const self = bearer((await signIn(run, 'grace@example.com')).body.data.access_token)
  t.match((await api('/auth/me', 'GET', undefined, self)).body.data, { email_confirmed: false, phone_confirmed: false })

  const { token } = await mailedToken(dataDir, id)
  t.equal((await api('/auth/activate', 'POST', { token, password })).status, 200)
  t.match((await api('/auth/me', 'GET', undefined, self)).body.data, { email_confirmed: true, phone_confirmed: false })
  t.equal(mailsOf(dataDir, id).length, 1)
})

t.test('users that an administrator creates are confirmed, and so are those of the sample data', async (t) => {
  const run = await runApp(t, { AUTH: 'on' })
  const admin = await signedIn(run.keysDir, 1)
  t.match(await newPerson(run, { phone }), { email_confirmed: true, phone_confirmed: true })
  t.match((await run.api('/users/2', 'GET', undefined, admin)).body.data, { email_confirmed: true, phone_confirmed: true })
})
