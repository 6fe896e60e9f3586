import t from 'tap'
import { startProviders } from '../../testing/providers.ts'
import { startSystem } from '../../testing/system.ts'
import { contractSuite } from './suite.ts'

t.setTimeout(180_000)

// A separate process and database for each module, one Redis.
const providers = await startProviders()
t.teardown(() => providers.stop())
const system = await startSystem({ env: providers.env })
t.teardown(() => system.stop())
if (!system.redis) t.comment('skipped: redis-server is not installed, so events use PostgreSQL')
await t.test('contract', (t) => contractSuite(t, { url: system.url, service: 'api-gateway', providers }))
