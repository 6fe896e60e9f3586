import { decodeJwt } from 'jose'
import postgres from 'postgres'
import t from 'tap'
import { bearer, newPerson, password, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

const run = await runApp(t, { AUTH: 'on' })
const { api } = run
const sql = postgres(run.databaseUrl, { max: 2, onnotice: () => {} })
t.teardown(() => sql.end())
const admin = await signedIn(run.keysDir, 1)

t.test("sign-in with e-mail address and password returns the user's token", async (t) => {
  const person = await newPerson(run, { locale: 'zh-TW', phone: '+886912345678' })
  const answer = await signIn(run, person.email.toUpperCase())
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.match(answer.body, { success: true, data: { token_type: 'Bearer', expires_in: 600, refresh_token: /^[\w-]{43}$/ } })
  t.match(decodeJwt(answer.body.data.access_token), { sub: String(person.id) })

  const me = await api('/auth/me', 'GET', undefined, bearer(answer.body.data.access_token))
  t.same(me.body.data, { ...person, mfa_enrolled: false })
  isProblem(t, await api('/auth/me'), 401, 'auth.required')
})

t.test('a wrong password and an unknown address get the same response', async (t) => {
  const person = await newPerson(run)
  const nameless = (await api('/users', 'POST', { name: 'N', email: 'nobody-yet@example.com' }, admin)).body.data
  const answers = [
    await signIn(run, person.email, { password: 'a quiet harbour 8' }),
    await signIn(run, 'there-is-no-such@example.com'),
    await signIn(run, nameless.email),
  ]
  for (const answer of answers) isProblem(t, answer, 401, 'auth.invalid_credentials')
  const bodies = answers.map(({ body: { trace_id: _, ...body } }) => body)
  t.same(bodies[1], bodies[0])
  t.same(bodies[2], bodies[0])
})

t.test('unknown members and long passwords are refused', async (t) => {
  isProblem(t, await signIn(run, 'x@example.com', { role: 'admin' }), 400, 'request.invalid')
  isProblem(t, await signIn(run, 'x@example.com', { password: 'x'.repeat(129) }), 400, 'request.invalid')
})

t.test('an account is locked after ten wrong passwords, existing or not, with Retry-After', async (t) => {
  const person = await newPerson(run)
  for (const email of [person.email, 'guessed-at@example.com']) {
    const guesses = await Promise.all(Array.from({ length: 25 }, (_, n) => signIn(run, email, { password: `guess ${n}` })))
    const counted = guesses.filter(({ status }) => status === 401).length
    t.equal(counted, 10, 'the limit also holds for concurrent attempts')
    const refused = guesses.find(({ status }) => status === 429)
    isProblem(t, refused as (typeof guesses)[0], 429, 'auth.too_many_attempts')
    t.ok(Number(refused?.headers.get('retry-after')) > 60)
    isProblem(t, await signIn(run, email), 429, 'auth.too_many_attempts')
  }
  const rows = await sql`select count(*)::int as n from users.sign_in_attempts where failures >= 10`
  t.ok(rows[0]?.n >= 2)
  await sql`update users.sign_in_attempts set expires_at = now() - interval '1 second'`
  t.equal((await signIn(run, person.email)).status, 200, 'the right password, after the lock expires')
})

t.test('a client address is locked after a hundred, for any account', async (t) => {
  await sql`delete from users.sign_in_attempts`
  const person = await newPerson(run)
  await signIn(run, person.email, { password: 'wrong one' })
  await sql`update users.sign_in_attempts set failures = 100 where key <> (select email_lookup from users.users where id = ${person.id})`
  const refused = await signIn(run, 'somebody-else@example.com')
  isProblem(t, refused, 429, 'auth.too_many_attempts')
  t.ok(Number(refused.headers.get('retry-after')) > 60)
  await sql`delete from users.sign_in_attempts`
})

t.test('signing in resets the count', async (t) => {
  const person = await newPerson(run)
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 6; n++) await signIn(run, person.email, { password: 'wrong one' })
    t.equal((await signIn(run, person.email)).status, 200)
  }
})

t.test('a changed password ends every session', async (t) => {
  const person = await newPerson(run)
  const first = (await signIn(run, person.email)).body.data
  const second = (await signIn(run, person.email)).body.data
  const change = (body: object) => api('/auth/password', 'POST', body, bearer(first.access_token))
  isProblem(
    t,
    await change({ current_password: 'wrong one', new_password: 'another harbour 7' }),
    401,
    'auth.invalid_credentials',
  )
  isProblem(t, await change({ current_password: password, new_password: 'short' }), 400, 'request.invalid')
  isProblem(t, await change({ current_password: password, new_password: person.email }), 400, 'user.password_personal')
  isProblem(t, await change({ current_password: password, new_password: 'password' }), 400, 'user.password_too_common')
  t.equal((await change({ current_password: password, new_password: 'another harbour 7' })).status, 200)

  for (const { access_token, refresh_token } of [first, second]) {
    isProblem(t, await api('/auth/me', 'GET', undefined, bearer(access_token)), 401, 'auth.invalid_token')
    isProblem(t, await api('/auth/refresh', 'POST', { refresh_token }), 401, 'auth.invalid_token')
  }
  isProblem(t, await signIn(run, person.email), 401, 'auth.invalid_credentials')
  t.equal((await signIn(run, person.email, { password: 'another harbour 7' })).status, 200)
})

t.test('a change of role and an erasure take effect at once', async (t) => {
  const person = await newPerson(run)
  const signedInAs = async () => (await signIn(run, person.email)).body.data
  const asUser = await signedInAs()
  t.equal((await api(`/users/${person.id}`, 'PATCH', { role: 'support' }, admin)).status, 200)
  isProblem(t, await api('/auth/me', 'GET', undefined, bearer(asUser.access_token)), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', asUser), 400, 'request.invalid')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token: asUser.refresh_token }), 401, 'auth.invalid_token')

  const asSupport = await signedInAs()
  t.equal((await api('/users', 'GET', undefined, bearer(asSupport.access_token))).status, 200)
  t.equal((await api(`/users/${person.id}`, 'DELETE', undefined, admin)).status, 200)
  isProblem(t, await api('/auth/me', 'GET', undefined, bearer(asSupport.access_token)), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token: asSupport.refresh_token }), 401, 'auth.invalid_token')
  isProblem(t, await signIn(run, person.email), 401, 'auth.invalid_credentials')
})

t.test('200 concurrent sign-ins: each gets a response, and no unexpected error', async (t) => {
  const people = await Promise.all(Array.from({ length: 8 }, () => newPerson(run)))
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => signIn(run, (people[n % people.length] as { email: string }).email)),
  )
  const statuses = [...new Set(answers.map(({ status }) => status))]
  t.same(
    statuses.filter((status) => ![200, 429, 503].includes(status)),
    [],
  )
  t.ok(statuses.includes(200))
  for (const answer of answers.filter(({ status }) => status === 503)) {
    t.equal(answer.body.code, 'auth.busy')
    t.ok(Number(answer.headers.get('retry-after')) >= 1)
  }
  await sql`delete from users.sign_in_attempts`
  t.equal((await signIn(run, (people[0] as { email: string }).email)).status, 200, 'sign-in works afterwards')
})

t.test('signing in and out are events without personal data', async (t) => {
  const person = await newPerson(run)
  await sql`create table seen (type text, aggregate_id text, actor jsonb, data jsonb)`
  await sql`create function keep() returns trigger language plpgsql as $$ begin
    insert into seen values (new.type, new.aggregate_id, new.actor, new.data); return new; end $$`
  await sql`create trigger keep after insert on users.outbox for each row execute function keep()`
  const { refresh_token } = (await signIn(run, person.email)).body.data
  t.equal((await api('/auth/logout', 'POST', { refresh_token })).status, 200)
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token }), 401, 'auth.invalid_token')
  t.equal((await api('/auth/logout', 'POST', { refresh_token })).status, 200, 'signing out again is no error')
  const rows = await eventually(async () => {
    const found = await sql`select type, actor, data from seen where aggregate_id = ${String(person.id)}`
    return found.length >= 2 && found
  })
  t.match(rows, [
    { type: 'user.signed_in', actor: { type: 'user', id: String(person.id) }, data: {} },
    { type: 'user.signed_out', data: {} },
  ])
  t.equal(rows.length, 2)
})
