import postgres from 'postgres'
import t, { type Test } from 'tap'
import { bearer, newPerson, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { isProblem } from '../../contract/target.ts'

const run = await runApp(t, { AUTH: 'on' })
const { api } = run
const sql = postgres(run.databaseUrl, { max: 2, onnotice: () => {} })
t.teardown(() => sql.end())

const refresh = (refresh_token: string) => api('/auth/refresh', 'POST', { refresh_token })
const isRefused = async (t: Test, token: string) => isProblem(t, await refresh(token), 401, 'auth.invalid_token')

/** A new sign-in: its first refresh token, and whose it is. */
const signedIn = async () => {
  const person = await newPerson(run)
  return { person, token: (await signIn(run, person.email)).body.data.refresh_token as string }
}
/** As if `seconds` had passed since these tokens were used. */
const letPass = (userId: number, seconds: number) =>
  sql`update users.refresh_tokens set used_at = used_at - ${seconds} * interval '1 second' where user_id = ${userId}`

t.test('each use gives a new token, and access with it', async (t) => {
  const { person, token } = await signedIn()
  let latest = token
  for (let n = 0; n < 3; n++) {
    const { status, body, headers } = await refresh(latest)
    t.equal(status, 200)
    t.equal(headers.get('cache-control'), 'no-store')
    t.not(body.data.refresh_token, latest)
    t.equal((await api('/auth/me', 'GET', undefined, bearer(body.data.access_token))).body.data.id, person.id)
    latest = body.data.refresh_token
  }
})

t.test('the table holds no token', async (t) => {
  const { token } = await signedIn()
  const rows = await sql`select encode(token_hash, 'escape') as hash from users.refresh_tokens`
  t.ok(rows.length > 0)
  t.notOk(rows.some(({ hash }) => hash.includes(token)))
})

t.test('100 uses of one token at once leave one lineage, which a later replay ends', async (t) => {
  const { person, token } = await signedIn()
  const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(token)))
  const won = answers.filter(({ status }) => status === 200)
  t.equal(won.length, 1)
  t.equal(answers.filter(({ status }) => status === 401).length, 99)
  const living = await sql`select from users.refresh_tokens where user_id = ${person.id} and used_at is null`
  t.equal(living.length, 1)

  const next = await refresh(won[0]?.body.data.refresh_token)
  t.equal(next.status, 200, 'the lineage lives on')
  await isRefused(t, token)
  await isRefused(t, next.body.data.refresh_token)
})

t.test('a used token that comes again ends its family and no other', async (t) => {
  const { person, token } = await signedIn()
  const other = (await signIn(run, person.email)).body.data.refresh_token
  const next = (await refresh(token)).body.data.refresh_token
  await letPass(person.id, 60)
  await isRefused(t, token)
  await isRefused(t, next)
  t.equal((await refresh(other)).status, 200)
})

t.test('the newest token of an ended family is found out as well when it is made at the same time', async (t) => {
  for (let round = 0; round < 10; round++) {
    const { person, token } = await signedIn()
    const second = (await refresh(token)).body.data.refresh_token
    await letPass(person.id, 60)
    const [, rotated] = await Promise.all([refresh(token), refresh(second)])
    if (rotated?.status === 200) await isRefused(t, rotated.body.data.refresh_token)
    await isRefused(t, second)
  }
})

t.test('within seconds a second use is refused without harm, while the next token is unused', async (t) => {
  const { token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  await isRefused(t, token)
  t.equal((await refresh(next)).status, 200)
})

t.test('a family does not outlive its thirty days, however often it is refreshed', async (t) => {
  const { person, token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  const [lives] = await sql`
    select count(distinct expires_at)::int as ends, extract(day from max(expires_at) - min(created_at))::int as days
      from users.refresh_tokens where user_id = ${person.id}`
  t.same(lives, { ends: 1, days: 30 })
  await sql`update users.refresh_tokens set expires_at = now() where user_id = ${person.id}`
  await isRefused(t, next)
})

t.test('what is no token is refused', async (t) => {
  await isRefused(t, 'x')
  await isRefused(t, 'A'.repeat(43))
  isProblem(t, await refresh(''), 400, 'request.invalid')
  isProblem(t, await api('/auth/refresh', 'POST', {}), 400, 'request.invalid')
})

t.test('signing out ends the whole family', async (t) => {
  const { token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  t.same((await api('/auth/logout', 'POST', { refresh_token: next })).body, {
    success: true,
    data: null,
    message: 'Signed out',
  })
  await isRefused(t, next)
})
