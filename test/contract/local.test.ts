import t from 'tap'
import { runApp } from '../../testing/app.ts'
import { startProviders } from '../../testing/providers.ts'
import { contractSuite } from './suite.ts'

t.setTimeout(180_000)

// All modules in one process; calls between modules are function calls.
const providers = await startProviders()
const { url } = await runApp(t, providers.env)
t.teardown(() => providers.stop())
await t.test('contract', (t) => contractSuite(t, { url, service: 'orderhub', providers }))
