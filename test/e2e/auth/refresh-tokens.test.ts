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

/** Signs a new user in; returns the first refresh token and the user. */
const signedIn = async () => {
  const person = await newPerson(run)
  return { person, token: (await signIn(run, person.email)).body.data.refresh_token as string }
}
/** Moves the use of the user's tokens `seconds` into the past. */
const letPass = (userId: number, seconds: number) =>
  sql`update users.refresh_tokens set used_at = used_at - ${seconds} * interval '1 second' where user_id = ${userId}`

t.test('each use gives a new refresh token and a valid access token', async (t) => {
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

t.test('the table contains no token', async (t) => {
  const { token } = await signedIn()
  const rows = await sql`select encode(token_hash, 'escape') as hash from users.refresh_tokens`
  t.ok(rows.length > 0)
  t.notOk(rows.some(({ hash }) => hash.includes(token)))
})

t.test('100 concurrent uses of one token leave one family, which a later replay revokes', async (t) => {
  const { person, token } = await signedIn()
  const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(token)))
  const won = answers.filter(({ status }) => status === 200)
  t.equal(won.length, 1)
  t.equal(answers.filter(({ status }) => status === 401).length, 99)
  const living = await sql`select from users.refresh_tokens where user_id = ${person.id} and used_at is null`
  t.equal(living.length, 1)

  const next = await refresh(won[0]?.body.data.refresh_token)
  t.equal(next.status, 200, 'the family is still valid')
  await isRefused(t, token)
  await isRefused(t, next.body.data.refresh_token)
})

t.test('reuse of a token revokes its family and no other', async (t) => {
  const { person, token } = await signedIn()
  const other = (await signIn(run, person.email)).body.data.refresh_token
  const next = (await refresh(token)).body.data.refresh_token
  await letPass(person.id, 60)
  await isRefused(t, token)
  await isRefused(t, next)
  t.equal((await refresh(other)).status, 200)
})

t.test('a token that is refreshed while its family is revoked is invalid too', async (t) => {
  for (let round = 0; round < 10; round++) {
    const { person, token } = await signedIn()
    const second = (await refresh(token)).body.data.refresh_token
    await letPass(person.id, 60)
    const [, rotated] = await Promise.all([refresh(token), refresh(second)])
    if (rotated?.status === 200) await isRefused(t, rotated.body.data.refresh_token)
    await isRefused(t, second)
  }
})

t.test('a second use within seconds is refused without revoking the family, while the next token is unused', async (t) => {
  const { token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  await isRefused(t, token)
  t.equal((await refresh(next)).status, 200)
})

t.test('a family expires after thirty days, however often it is refreshed', async (t) => {
  const { person, token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  const [lives] = await sql`
    select count(distinct expires_at)::int as ends, extract(day from max(expires_at) - min(created_at))::int as days
      from users.refresh_tokens where user_id = ${person.id}`
  t.same(lives, { ends: 1, days: 30 })
  await sql`update users.refresh_tokens set expires_at = now() where user_id = ${person.id}`
  await isRefused(t, next)
})

t.test('invalid tokens are refused', async (t) => {
  await isRefused(t, 'x')
  await isRefused(t, 'A'.repeat(43))
  isProblem(t, await refresh(''), 400, 'request.invalid')
  isProblem(t, await api('/auth/refresh', 'POST', {}), 400, 'request.invalid')
})

t.test('signing out revokes the whole family', async (t) => {
  const { token } = await signedIn()
  const next = (await refresh(token)).body.data.refresh_token
  t.same((await api('/auth/logout', 'POST', { refresh_token: next })).body, {
    success: true,
    data: null,
    message: 'Signed out',
  })
  await isRefused(t, next)
})
