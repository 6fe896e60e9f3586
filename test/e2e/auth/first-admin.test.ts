import postgres from 'postgres'
import t from 'tap'
import { newPerson, password, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'

const configured = { AUTH: 'on', ADMIN_EMAIL: 'root@example.com', ADMIN_PASSWORD: password }

t.test('one of several concurrent starts creates the administrator, and later starts keep it', async (t) => {
  const run = await runApp(t, configured)
  const starts = await Promise.all(Array.from({ length: 6 }, () => run.app.firstSignIn(false)))
  for (const start of starts) t.same(start, { email: 'root@example.com', password: undefined })
  const sql = postgres(run.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  const rows = await sql`select id, role, status from users.users join users.credentials on user_id = id`
  // The id may be greater than 1: the other starts have used up numbers of the sequence.
  t.match([...rows], [{ id: Number, role: 'admin', status: 'active' }])

  const { access_token } = (await signIn(run, 'root@example.com')).body.data
  t.match(await run.api(`/users/${rows[0]?.id}`, 'GET', undefined, { authorization: `Bearer ${access_token}` }), {
    status: 200,
    body: { data: { role: 'admin', email: 'root@example.com' } },
  })
  await sql`update users.credentials set password_hash = 'kept'`
  await run.app.firstSignIn(true)
  t.equal((await sql`select password_hash from users.credentials`)[0]?.password_hash, 'kept')
})

t.test('an existing account with the address becomes the administrator, with only the configured password', async (t) => {
  const run = await runApp(t, configured)
  await newPerson(run, { email: 'root@example.com', password: 'what somebody chose' })
  await run.app.firstSignIn(false)
  t.equal((await signIn(run, 'root@example.com', { password: 'what somebody chose' })).status, 401)
  t.equal((await signIn(run, 'root@example.com')).status, 200)
})

t.test('a common password is refused for the administrator', async (t) => {
  const run = await runApp(t, { ...configured, ADMIN_PASSWORD: 'administrator' })
  await t.rejects(run.app.firstSignIn(false), { code: 'user.password_too_common' })
})

t.test('without ADMIN_EMAIL no administrator is created unless requested', async (t) => {
  const run = await runApp(t, { AUTH: 'on' })
  t.equal(await run.app.firstSignIn(false), undefined)
  const made = await Promise.all([run.app.firstSignIn(true), run.app.firstSignIn(true), run.app.firstSignIn(true)])
  const told = made.flatMap((one) => (one?.password === undefined ? [] : [one.password]))
  t.equal(told.length, 1, 'the password is returned once')
  t.same(new Set(made.map((one) => one?.email)), new Set(['xiaoming@example.com']))
  t.equal((await signIn(run, 'xiaoming@example.com', { password: told[0] })).status, 200)
})
