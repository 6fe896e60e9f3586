import t from 'tap'
import { call, runApp } from '../../../testing/app.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'

t.setTimeout(180_000)

await onEachBackend(t, 'a long outage of a provider', async (t, env) => {
  const providers = await startProviders()
  t.teardown(() => providers.stop())
  // The default number of attempts, with short pauses.
  const app = await runApp(t, { ...env, ...providers.env }, { queue: { backoffMs: 20, longestBackoffMs: 50 } })
  const oldest = async () => {
    const { body } = await call(app.metricsUrl)
    return Number(/^outbox_oldest_seconds\{module="user",queue="notification-account"\} ([\d.e-]+)$/m.exec(body)?.[1])
  }
  const letters = async () => (await app.api('/notifications/dead-letters')).body.data

  providers.email.behave('refuse')
  const [user] = (await app.api('/users?limit=1')).body.data
  t.equal((await app.api('/auth/password/forgot', 'POST', { email: user.email })).status < 300, true)
  await eventually(() => providers.email.refusals() > 12, { timeoutMs: 60_000 })
  t.same(await letters(), [], 'no dead letter after more attempts than fit into a minute')
  t.ok((await oldest()) > 0, 'the metric shows how long it has waited')

  providers.email.behave('accept')
  await eventually(() => providers.email.keys().length === 1, { timeoutMs: 30_000 })
  await eventually(async () => (await oldest()) === 0, { timeoutMs: 30_000 })
  t.same(await letters(), [])
  t.equal(providers.email.duplicates(), 0)
})
