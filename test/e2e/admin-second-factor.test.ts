import { generateSync } from 'otplib'
import t from 'tap'
import { isProblem } from '../contract/target.ts'
import { bearer, password, signIn } from '../support/accounts.ts'
import { runApp } from '../support/app.ts'

t.test('with REQUIRE_ADMIN_MFA an administrator without a factor can do nothing but get one', async (t) => {
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

  const { secret } = (await api('/auth/mfa/enrol', 'POST', undefined, headers)).body.data
  const confirmed = await api('/auth/mfa/confirm', 'POST', { code: generateSync({ secret }) }, headers)
  t.equal(confirmed.status, 200)
  t.equal((await api('/users', 'GET', undefined, headers)).status, 200, 'at once')
  t.equal((await api('/auth/logout', 'POST', { refresh_token })).status, 200)

  const user = await api('/users', 'POST', { name: 'U', email: 'u@example.com', password })
  t.equal(user.status, 201)
  const asUser = bearer((await signIn(run, 'u@example.com')).body.data.access_token)
  t.equal((await api('/orders', 'GET', undefined, asUser)).status, 200, 'others need none')
})
