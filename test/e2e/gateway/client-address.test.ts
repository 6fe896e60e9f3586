import postgres from 'postgres'
import t from 'tap'
import { call, runApp } from '../../../testing/app.ts'
import { asService } from '../../../testing/people.ts'

t.test('the user service trusts X-Forwarded-For only from a service', async (t) => {
  const run = await runApp(t, { AUTH: 'on', SERVICE: 'user' })
  const sql = postgres(run.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  const gateway = await asService(run.keysDir, 'gateway', 'user', { type: 'anonymous', id: null })
  const forOrders = await asService(run.keysDir, 'gateway', 'order', { type: 'anonymous', id: null })
  const login = async (address: string, headers: Record<string, string>) => {
    const credentials = { email: `a${Math.random()}@example.com`, password: 'wrong one' }
    const { status } = await call(`${run.url}/api/v1/auth/login`, 'POST', credentials, { 'x-forwarded-for': address, ...headers })
    t.equal(status, 401)
  }
  /** Each account has one failure here; a client address has one for each sign-in. */
  const countsOfAddresses = async () =>
    (await sql`select failures from users.sign_in_attempts where failures > 1 order by failures`).map(({ failures }) => failures)

  for (let n = 0; n < 2; n++) await login('198.51.100.1, 10.0.0.1', gateway)
  for (let n = 0; n < 3; n++) await login('198.51.100.2', gateway)
  t.same(await countsOfAddresses(), [2, 3], 'each client of the gateway is counted separately')

  for (const [n, headers] of [{}, { authorization: 'Bearer x.y.z' }, forOrders, {}].entries())
    await login(`203.0.113.${n}`, headers as Record<string, string>)
  t.same(await countsOfAddresses(), [2, 3, 4], 'any other sender of the header counts as one client')
})
