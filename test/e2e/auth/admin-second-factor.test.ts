import { generateSync } from 'otplib'
import postgres from 'postgres'
import t from 'tap'
import { bearer, password, reauthenticate, signIn } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { startIssuer } from '../../../testing/issuer.ts'
import { signedIn } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

t.test('with REQUIRE_ADMIN_MFA an administrator without a second factor can only enrol one', async (t) => {
  const admin = { ADMIN_EMAIL: 'root@example.com', ADMIN_PASSWORD: password }
  const run = await runApp(t, { AUTH: 'on', REQUIRE_ADMIN_MFA: 'true', ...admin })
  const { api } = run
  t.same(await run.app.firstSignIn(false), { email: 'root@example.com', password: undefined })
  const { access_token, refresh_token } = (await signIn(run, 'root@example.com')).body.data
  const headers = bearer(access_token)

  const refused: [string, string, object?][] = [
    ['/users', 'GET'],
    ['/users', 'POST', { name: 'X', email: 'x@example.com', password }],
    ['/orders', 'GET'],
    ['/users/1', 'DELETE'],
  ]
  for (const [path, method, body] of refused)
    isProblem(t, await api(path, method, body, headers), 403, 'auth.mfa_enrolment_required')
  t.equal((await api('/auth/me', 'GET', undefined, headers)).status, 200)

  const proven = await reauthenticate(run, headers)
  const { secret } = (await api('/auth/mfa/enrol', 'POST', undefined, proven)).body.data
  const confirmed = await api('/auth/mfa/confirm', 'POST', { code: generateSync({ secret }) }, proven)
  t.equal(confirmed.status, 200)
  const { data } = confirmed.body
  t.equal((await api('/users', 'GET', undefined, bearer(data.access_token))).status, 200, 'immediately, with the new tokens')
  for (const old of [headers, proven]) isProblem(t, await api('/users', 'GET', undefined, old), 401, 'auth.invalid_token')
  isProblem(t, await api('/auth/refresh', 'POST', { refresh_token }), 401, 'auth.invalid_token')
  const refreshed = (await api('/auth/refresh', 'POST', { refresh_token: data.refresh_token })).body.data
  t.equal((await api('/users', 'GET', undefined, bearer(refreshed.access_token))).status, 200, 'also with refreshed tokens')

  const user = await api('/users', 'POST', { name: 'U', email: 'u@example.com', password })
  t.equal(user.status, 201)
  const asUser = bearer((await signIn(run, 'u@example.com')).body.data.access_token)
  t.equal((await api('/orders', 'GET', undefined, asUser)).status, 200, 'other roles need no second factor')
})

t.test('a session that was signed in without the code is refused, also if the account has a factor', async (t) => {
  const run = await runApp(t, {
    AUTH: 'on',
    REQUIRE_ADMIN_MFA: 'true',
    ADMIN_EMAIL: 'root@example.com',
    ADMIN_PASSWORD: password,
  })
  const { api, keysDir } = run
  await run.app.firstSignIn(false)
  const { data: me } = (
    await api('/auth/me', 'GET', undefined, bearer((await signIn(run, 'root@example.com')).body.data.access_token))
  ).body
  const sql = postgres(run.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  // A factor that was not enrolled in this session, such as one from a previous version.
  await sql`insert into users.second_factors (user_id, secret, confirmed_at) values (${me.id}, ''::bytea, now())`
  const [row] = await sql`select session_version from users.users where id = ${me.id}`
  isProblem(
    t,
    await api('/users', 'GET', undefined, await signedIn(keysDir, me.id, row?.session_version)),
    403,
    'auth.mfa_required',
  )
})

t.test('administrators of an OIDC issuer need its MFA claims', async (t) => {
  const issuer = await startIssuer(t)
  const OIDC = { OIDC_ISSUER: issuer.url, OIDC_AUDIENCE: 'shop', OIDC_MFA_VALUES: 'mfa, gold' }
  const { api } = await runApp(t, { AUTH: 'on', REQUIRE_ADMIN_MFA: 'true', ...OIDC })
  const tried = async (claims: object) =>
    api('/users', 'GET', undefined, bearer(await issuer.sign({ aud: 'shop', sub: 'ann', roles: ['admin'], ...claims })))
  for (const claims of [{}, { amr: ['pwd'] }, { acr: '1' }, { amr: 'mfa' }, { acr: ['gold'] }])
    isProblem(t, await tried(claims), 403, 'auth.mfa_required')
  for (const claims of [{ amr: ['pwd', 'mfa'] }, { acr: 'gold' }]) t.equal((await tried(claims)).status, 200)
  t.equal((await tried({ roles: ['support'] })).status, 200, 'other roles need no second factor')
})
