import t from 'tap'
import { runApp } from '../../testing/app.ts'
import { signedIn } from '../../testing/people.ts'
import { startProviders } from '../../testing/providers.ts'
import { contractSuite } from './suite.ts'

t.setTimeout(180_000)

// All modules in one process with authorization: an administrator can do the same as everyone with AUTH=off.
const providers = await startProviders()
const { url, keysDir } = await runApp(t, { ...providers.env, AUTH: 'on' })
t.teardown(() => providers.stop())
const identity = await signedIn(keysDir, 1)
await t.test('contract', (t) => contractSuite(t, { url, service: 'orderhub', providers, identity }))
