import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { newPerson, password } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'

const run = await runApp(t, { AUTH: 'on' })
const { email } = await newPerson(run)

const smoke = (url: string, env: Record<string, string>) =>
  promisify(execFile)(process.execPath, ['deploy/release/smoke.ts', url], { env: { ...process.env, ...env } })

t.test('the smoke test of a deployment passes', async (t) => {
  const { stdout } = await smoke(run.url, { SMOKE_EMAIL: email, SMOKE_PASSWORD: password })
  t.equal(stdout.match(/^ok - /gm)?.length, 7)
})

t.test('it fails if the account cannot sign in', async (t) => {
  await t.rejects(smoke(run.url, { SMOKE_EMAIL: email, SMOKE_PASSWORD: 'not it at all 1' }), {
    code: 1,
    stderr: 'not ok - signs in: 401 auth.invalid_credentials, expected 200\n',
  })
})

t.test('it fails if orders can be read without a token', async (t) => {
  const open = await runApp(t, { AUTH: 'off' })
  await t.rejects(smoke(open.url, { SMOKE_EMAIL: email, SMOKE_PASSWORD: password }), {
    code: 1,
    stderr: /refuses a request without a token: 200/,
  })
})

t.test('it fails if there is no response', async (t) => {
  const env = { SMOKE_EMAIL: email, SMOKE_PASSWORD: password, SMOKE_WAIT_SECONDS: '0' }
  await t.rejects(smoke('http://127.0.0.1:9', env), { code: 1, stderr: /^not ok - not ready/ })
})
