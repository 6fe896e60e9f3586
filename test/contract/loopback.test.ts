import t from 'tap'
import { runApp } from '../../testing/app.ts'
import { startProviders } from '../../testing/providers.ts'
import { contractSuite } from './suite.ts'

t.setTimeout(180_000)

// One process; each call between modules goes over HTTP, and each idempotent one goes twice.
const providers = await startProviders()
const { url } = await runApp(t, providers.env, { binding: 'loopback' })
t.teardown(() => providers.stop())
await t.test('contract', (t) => contractSuite(t, { url, service: 'orderhub', providers, loopback: true }))
