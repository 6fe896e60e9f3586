import postgres from 'postgres'
import t from 'tap'
import { bearer, mailedToken, mailsOf, newPerson, reauthenticate, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { isProblem } from '../../contract/target.ts'

const run = await runApp(t, { AUTH: 'on' })
const { api, dataDir } = run
const sql = postgres(run.databaseUrl, { max: 1, onnotice: () => {} })
t.teardown(() => sql.end())
const forgot = (email: string) => api('/auth/password/forgot', 'POST', { email })
const reset = (token: string, next: string) => api('/auth/password/reset', 'POST', { token, password: next })

t.test('the response does not reveal whether the account exists', async (t) => {
  const person = await newPerson(run)
  const [known, unknown] = [await forgot(person.email), await forgot('there-is-no-such@example.com')]
  t.equal(known.status, 202)
  t.same(unknown.body, known.body)
  t.equal(unknown.status, 202)
  await mailedToken(dataDir, person.id)
})

t.test('a mailed token sets the password once, and every session ends', async (t) => {
  const person = await newPerson(run)
  const before = (await signIn(run, person.email)).body.data
  await forgot(person.email)
  const { mail, token } = await mailedToken(dataDir, person.id)
  t.match(mail, { to: person.email, subject: 'Set a new password' })
  t.notMatch(mail.parts['text/plain'], 'http', 'no link without PUBLIC_URL')

  isProblem(t, await reset(token, person.email), 400, 'user.password_personal')
  isProblem(t, await reset(token, '12345678'), 400, 'user.password_too_common')
  for (let n = 0; n < 12; n++) await signIn(run, person.email, { password: 'wrong one' })
  const answers = await Promise.all(Array.from({ length: 4 }, () => reset(token, 'another harbour 7')))
  t.same(answers.map(({ status }) => status).sort(), [200, 400, 400, 400])
  isProblem(t, await api('/auth/me', 'GET', undefined, bearer(before.access_token)), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token: before.refresh_token }), 401, 'auth.invalid_token')
  t.equal((await signIn(run, person.email)).status, 401)
  t.equal((await signIn(run, person.email, { password: 'another harbour 7' })).status, 200, 'no longer locked')
})

t.test('a token is invalid after a later one, after it expires, and after a change of address', async (t) => {
  const person = await newPerson(run)
  const tokens: string[] = []
  for (let n = 1; n <= 2; n++) {
    await forgot(person.email)
    const seen = new Set(tokens)
    tokens.push(
      await eventually(async () => {
        const { token } = await mailedToken(dataDir, person.id, n)
        return !seen.has(token) && token
      }),
    )
  }
  const [first, second] = tokens as [string, string]
  isProblem(t, await reset(first, 'another harbour 7'), 400, 'auth.invalid_mail_token')
  await sql`update users.mail_tokens set expires_at = now() where user_id = ${person.id}`
  isProblem(t, await reset(second, 'another harbour 7'), 400, 'auth.invalid_mail_token')

  await forgot(person.email)
  const { token } = await mailedToken(dataDir, person.id, 3)
  const self = await reauthenticate(run, bearer((await signIn(run, person.email)).body.data.access_token))
  t.equal((await api(`/users/${person.id}`, 'PATCH', { email: `new-${person.email}` }, self)).status, 200)
  isProblem(t, await reset(token, 'another harbour 7'), 400, 'auth.invalid_mail_token')
})

t.test('mails to one address are limited', async (t) => {
  const person = await newPerson(run)
  const answers = await Promise.all(Array.from({ length: 20 }, () => forgot(person.email)))
  t.same([...new Set(answers.map(({ status }) => status))], [202])
  const last = await newPerson(run)
  await forgot(last.email)
  await mailedToken(dataDir, last.id)
  await eventually(() => mailsOf(dataDir, person.id).length >= 3)
  t.equal(mailsOf(dataDir, person.id).length, 3)
})

t.test('no queue, table or event contains the token or the address', async (t) => {
  const person = await newPerson(run)
  await forgot(person.email)
  const { token } = await mailedToken(dataDir, person.id)
  const tables = await sql`
    select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`
  t.ok(tables.length > 10)
  for (const { name } of tables) {
    const [found] = await sql.unsafe(
      `select count(*)::int as n from ${name} as r where r::text ilike '%${token}%' or r::text ilike '%${person.email}%'`,
    )
    t.equal(found?.n, 0, name)
  }
})
