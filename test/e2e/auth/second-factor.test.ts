import { generateSync } from 'otplib'
import postgres from 'postgres'
import t from 'tap'
import { bearer, mailsOf, newPerson, password, reauthenticate, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { reauthenticated, signedIn as tokenOf } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

const run = await runApp(t, { AUTH: 'on' })
const { api } = run
const sql = postgres(run.databaseUrl, { max: 2, onnotice: () => {} })
t.teardown(() => sql.end())

/** The code of the current time step, or `steps` later. */
const codeOf = (secret: string, steps = 0) => generateSync({ secret, epoch: Math.floor(Date.now() / 1000) + steps * 30 })
/** Forgets used codes, so that the current one is valid again. */
const forgetSteps = (userId: number) => sql`update users.second_factors set last_step = 0 where user_id = ${userId}`

const signedIn = async (fields: object = {}) => {
  const person = await newPerson(run, fields)
  const { access_token } = (await signIn(run, person.email)).body.data
  return { ...person, headers: await reauthenticate(run, bearer(access_token)) }
}

const enrolled = async () => {
  const person = await signedIn()
  const { secret } = (await api('/auth/mfa/enrol', 'POST', undefined, person.headers)).body.data
  const confirmed = await api('/auth/mfa/confirm', 'POST', { code: codeOf(secret) }, person.headers)
  if (confirmed.status !== 200) throw new Error(JSON.stringify(confirmed.body))
  await forgetSteps(person.id)
  const { access_token, recovery_codes } = confirmed.body.data
  return { ...person, headers: bearer(access_token), secret: secret as string, recoveryCodes: recovery_codes as string[] }
}

t.test('enrolment with a code, then each sign-in needs a code', async (t) => {
  const { id, email, headers } = await signedIn()
  isProblem(t, await api('/auth/mfa/confirm', 'POST', { code: '123456' }, headers), 409, 'auth.mfa_not_enrolled')
  const { data } = (await api('/auth/mfa/enrol', 'POST', undefined, headers)).body
  t.match(data, { secret: /^[A-Z2-7]{32}$/, qr: /^data:image\/png;base64,iVBOR/ })
  t.equal(data.otpauth_uri, `otpauth://totp/OrderHub:${encodeURIComponent(email)}?secret=${data.secret}&issuer=OrderHub`)
  t.equal((await signIn(run, email)).status, 200, 'not needed before it is confirmed')

  isProblem(t, await api('/auth/mfa/confirm', 'POST', { code: codeOf(data.secret, 20) }, headers), 401, 'auth.invalid_otp')
  // One code, also where a new time step begins meanwhile.
  const used = codeOf(data.secret)
  const confirmed = await api('/auth/mfa/confirm', 'POST', { code: used }, headers)
  t.equal(confirmed.status, 200)
  t.equal(new Set(confirmed.body.data.recovery_codes).size, 10)
  isProblem(t, await api('/auth/me', 'GET', undefined, headers), 401, 'auth.invalid_token')
  const goesOn = bearer(confirmed.body.data.access_token)
  t.equal((await api('/auth/me', 'GET', undefined, goesOn)).body.data.mfa_enrolled, true)

  isProblem(t, await signIn(run, email), 401, 'auth.otp_required')
  isProblem(t, await signIn(run, email, { password: 'wrong one' }), 401, 'auth.invalid_credentials')
  isProblem(t, await signIn(run, email, { otp: used }), 401, 'auth.invalid_otp')
  await forgetSteps(id)
  isProblem(t, await signIn(run, email, { otp: codeOf(data.secret, 20) }), 401, 'auth.invalid_otp')
  t.equal((await signIn(run, email, { otp: codeOf(data.secret) })).status, 200)
  isProblem(t, await api('/auth/reauthenticate', 'POST', { password }, goesOn), 401, 'auth.otp_required')
  await forgetSteps(id)
  const proven = await reauthenticate(run, goesOn, { otp: codeOf(data.secret) })
  isProblem(t, await api('/auth/mfa/enrol', 'POST', undefined, proven), 409, 'auth.mfa_already_enrolled')
  isProblem(t, await api('/auth/mfa/confirm', 'POST', { code: codeOf(data.secret) }, proven), 409, 'auth.mfa_already_enrolled')
})

t.test('the tables contain neither the secret nor a recovery code in plain text', async (t) => {
  const { secret, recoveryCodes } = await enrolled()
  const [row] = await sql`
    select (select string_agg(encode(secret, 'escape'), ' ') from users.second_factors) as secrets,
           (select string_agg(encode(code_hash, 'escape'), ' ') from users.recovery_codes) as codes`
  t.ok(row?.secrets.length > 0 && row?.codes.length > 0)
  t.notOk(row?.secrets.includes(secret))
  for (const code of recoveryCodes) t.notOk(row?.codes.includes(code.replaceAll('-', '')))
})

t.test('one code a hundred times at once: one success', async (t) => {
  const { email, secret } = await enrolled()
  const otp = codeOf(secret)
  const answers = await Promise.all(Array.from({ length: 100 }, () => signIn(run, email, { otp })))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.same(
    answers.filter(({ status }) => ![200, 401, 429, 503].includes(status)),
    [],
  )
  await sql`delete from users.sign_in_attempts`
  isProblem(t, await signIn(run, email, { otp }), 401, 'auth.invalid_otp')
  t.equal((await signIn(run, email, { otp: codeOf(secret, 1) })).status, 200, 'the next code is valid')
  isProblem(t, await signIn(run, email, { otp }), 401, 'auth.invalid_otp')
})

t.test('each recovery code signs in once, also in parallel', async (t) => {
  const { email, recoveryCodes } = await enrolled()
  const [first, second] = recoveryCodes as [string, string]
  // Fewer wrong codes than the limit that locks the account.
  const answers = await Promise.all(Array.from({ length: 6 }, () => signIn(run, email, { otp: first })))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  isProblem(t, await signIn(run, email, { otp: first }), 401, 'auth.invalid_otp')
  t.equal((await signIn(run, email, { otp: second.toUpperCase().replaceAll('-', ' ') })).status, 200)
  isProblem(t, await signIn(run, email, { otp: '1f0a2-9c3d4-5e6f7-08192' }), 401, 'auth.invalid_otp')
})

t.test('removal needs the password and a code; then sign-in needs no code', async (t) => {
  for (const kind of ['code', 'recovery code']) {
    const { id, email, headers, secret, recoveryCodes } = await enrolled()
    const remove = (body: object) => api('/auth/mfa', 'DELETE', body, headers)
    const code = kind === 'code' ? codeOf(secret) : recoveryCodes[3]
    isProblem(t, await remove({ password: 'wrong one', code }), 401, 'auth.invalid_credentials')
    isProblem(t, await remove({ password, code: codeOf(secret, 20) }), 401, 'auth.invalid_otp')
    t.equal((await remove({ password, code })).status, 200, kind)
    isProblem(t, await remove({ password, code }), 401, 'auth.invalid_token')
    const again = bearer((await signIn(run, email)).body.data.access_token)
    isProblem(t, await api('/auth/mfa', 'DELETE', { password, code }, again), 409, 'auth.mfa_not_enrolled')
    const left =
      await sql`select from users.recovery_codes where user_id = ${id} union all select from users.second_factors where user_id = ${id}`
    t.equal(left.length, 0)
  }
})

t.test('guessing codes is limited', async (t) => {
  const { email, headers } = await signedIn()
  await api('/auth/mfa/enrol', 'POST', undefined, headers)
  const guesses = await Promise.all(
    Array.from({ length: 15 }, (_, n) => api('/auth/mfa/confirm', 'POST', { code: String(100_000 + n) }, headers)),
  )
  t.ok(guesses.filter(({ status }) => status === 429).length >= 4)
  isProblem(t, await signIn(run, email), 429, 'auth.too_many_attempts')
})

/** The formats in which apps show codes, keyboards enter them (full width), and users copy them. */
const waysToType = [
  (code: string) => code,
  (code: string) => `${code.slice(0, 3)} ${code.slice(3)}`,
  (code: string) => `${code.slice(0, 3)}-${code.slice(3)}`,
  (code: string) => `${code.slice(0, 3)}\u00a0${code.slice(3)}`,
  (code: string) => `${code.slice(0, 3)}\u2013${code.slice(3)}\u200b`,
  (code: string) => `\t${code}\r\n`,
  (code: string) => code.replace(/[!-~]/g, (one) => String.fromCodePoint((one.codePointAt(0) as number) + 0xfee0)),
]

t.test('a code is accepted in each of these formats', async (t) => {
  const { id, email, secret, recoveryCodes } = await enrolled()
  for (const [n, typed] of waysToType.entries()) {
    await forgetSteps(id)
    const otp = typed(codeOf(secret))
    t.equal((await signIn(run, email, { otp })).status, 200, JSON.stringify(otp))
    const recovery = typed(recoveryCodes[n] as string)
    t.equal((await signIn(run, email, { otp: recovery.toUpperCase() })).status, 200, JSON.stringify(recovery))
  }
  const { headers, ...person } = await signedIn()
  const enrolment = (await api('/auth/mfa/enrol', 'POST', undefined, headers)).body.data
  const code = (waysToType.at(-1) as (code: string) => string)(codeOf(enrolment.secret))
  const confirmed = await api('/auth/mfa/confirm', 'POST', { code }, headers)
  t.equal(confirmed.status, 200, 'also for the confirmation')
  await forgetSteps(person.id)
  const spaced = (waysToType[1] as (code: string) => string)(codeOf(enrolment.secret))
  t.equal(
    (await api('/auth/mfa', 'DELETE', { password, code: spaced }, bearer(confirmed.body.data.access_token))).status,
    200,
    'also for the removal',
  )
})

t.test('input that is not in the format of a code is not counted as a guess', async (t) => {
  const { id, email, secret } = await enrolled()
  const failures = async () => {
    const [row] = await sql`
      select coalesce(sum(failures), 0)::int as n from users.sign_in_attempts
       where key = (select email_lookup from users.users where id = ${id})`
    return row?.n
  }
  for (const otp of ['12345', '1234567', '12345x', 'no such code', '______', '12 34 5', '１２３４５６７', 'f'.repeat(19)])
    for (let n = 0; n < 2; n++)
      isProblem(t, await signIn(run, email, { otp }), 400, 'request.invalid', { errors: [{ field: '/body/otp' }] })
  t.equal(await failures(), 0)
  isProblem(t, await signIn(run, email, { otp: codeOf(secret, 20) }), 401, 'auth.invalid_otp')
  t.equal(await failures(), 1, 'a wrong code is counted')
  t.equal((await signIn(run, email, { otp: codeOf(secret) })).status, 200)
})

t.test("an administrator removes a user's factor; the user is notified and must sign in again", async (t) => {
  const { id, email, headers } = await enrolled()
  const remove = (body: object, by: Record<string, string>) => api(`/users/${id}/mfa`, 'DELETE', body, by)
  const reason = { reason: 'lost the phone' }
  isProblem(t, await remove(reason, await tokenOf(run.keysDir, 1)), 401, 'auth.reauthentication_required')
  const admin = await reauthenticated(run.keysDir, 1)
  isProblem(t, await remove({}, admin), 400, 'request.invalid')
  isProblem(t, await remove(reason, headers), 403, 'auth.forbidden')
  t.equal((await remove(reason, admin)).status, 200)
  isProblem(t, await remove(reason, admin), 409, 'auth.mfa_not_enrolled')
  isProblem(t, await api('/users/999999/mfa', 'DELETE', reason, admin), 404, 'user.not_found')
  isProblem(t, await api('/auth/me', 'GET', undefined, headers), 401, 'auth.invalid_token')
  t.equal((await signIn(run, email)).status, 200)
  const [entry] = await eventually(async () => {
    const { data } = (await api(`/audit?resource_type=user&resource_id=${id}`, 'GET', undefined, admin)).body
    const found = data.filter(({ action }: { action: string }) => action === 'user.second_factor_reset')
    return found.length > 0 && found
  })
  t.match(entry, { actor: { id: '1' }, details: reason })
  const told = 'The second factor of your account was removed'
  await eventually(() => mailsOf(run.dataDir, id).some(({ parts }) => parts['text/plain']?.includes(told)))
})
