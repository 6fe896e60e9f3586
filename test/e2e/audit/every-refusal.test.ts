import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { AuditEntry } from '../../../src/platform/audit/entry.ts'
import { accountHash } from '../../../src/platform/audit/pseudonyms.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { call, runApp } from '../../../testing/app.ts'
import { createWorld, type World } from '../../../testing/authorization-world.ts'
import { eventually } from '../../../testing/eventually.ts'
import { runRefused, unknownAccount } from '../../../testing/refused.ts'
import { startSystem } from '../../../testing/system.ts'
import { trailReader } from '../../../testing/trail.ts'

t.setTimeout(180_000)

interface Form {
  readonly world: World
  readonly read: () => Promise<AuditEntry[]>
  /** The service that signs a module's entries. */
  readonly inside: (module: string) => string
}

const oneProcess = async (t: Test): Promise<Form> => {
  const app = await runApp(t, { AUTH: 'on', TRUST_PROXY: 'true' })
  return { world: await createWorld(app), read: trailReader(t, app.databaseUrl), inside: () => 'gateway' }
}

const services = async (t: Test): Promise<Form> => {
  const system = await startSystem({ env: { AUTH: 'on' }, own: { gateway: { TRUST_PROXY: 'true' } } })
  t.teardown(() => system.stop())
  const world = await eventually(() => createWorld(system), { timeoutMs: 30_000 })
  return { world, read: trailReader(t, system.databaseUrl('audit')), inside: (module) => module }
}

const reads = (world: World): [path: string, headers: Record<string, string>, module: string, subject: number | null][] => {
  const { owner, notification, headers } = world
  return [
    [`/users/${owner.id}`, headers.support, 'user', owner.id],
    ['/users?limit=3', headers.admin, 'user', null],
    [`/orders?user_id=${owner.id}`, headers.support, 'order', owner.id],
    [`/notifications/${notification.id}`, headers.support, 'notification', owner.id],
  ]
}

for (const [name, start] of Object.entries({ 'one process': oneProcess, 'separate services': services })) {
  t.test(`the trail of ${name}`, async (t) => {
    const { world, read, inside } = await start(t)
    const of = async (trace: string) => (await read()).filter(({ trace_id }) => trace_id === trace)

    await t.test('each refusal by the policy has one entry', async (t) => {
      const tried = await runRefused(t, { world, read, edge: 'gateway', inside })
      t.ok(tried > 140, `${tried} refusals`)
    })

    await t.test('a failed sign-in names the account by a hash that the owner of the key ring can compute', async (t) => {
      const entries = (await read()).filter(({ action }) => action === 'POST /api/v1/auth/login')
      const id = accountHash(createKeyStore({ folder: world.keysDir, strict: false }), unknownAccount)
      t.same(
        entries.map(({ resource }) => resource),
        [{ type: 'account', id, version: null }],
      )
      const command = fileURLToPath(new URL('../../../src/audit.ts', import.meta.url))
      const asked = [command, 'account', unknownAccount.toUpperCase(), '--keys', world.keysDir]
      t.match(spawnSync(process.execPath, asked, { encoding: 'utf8' }), { status: 0, stdout: `${id}\n` })
    })

    await t.test('reads of other users’ personal data have an entry', async (t) => {
      for (const [n, [path, headers, module, subject]] of reads(world).entries()) {
        const trace = `f${String(n).padStart(31, '0')}`
        const sent = { ...headers, traceparent: `00-${trace}-00000000000000aa-01`, 'x-forwarded-for': '203.0.113.5' }
        t.equal((await call(`${world.url}/api/v1${path}`, 'GET', undefined, sent)).status, 200)
        const [entry, ...more] = await eventually(async () => {
          const found = await of(trace)
          return found.length > 0 && found
        })
        t.same(more, [])
        t.match(entry, {
          action: 'personal_data.read',
          decision: 'approved',
          service: inside(module),
          actor: { type: 'user', id: headers === world.headers.support ? String(world.support.id) : '1' },
          resource: { type: 'user', id: subject === null ? null : String(subject) },
          details: { count: 1 },
        })
        if (subject === null) t.match(entry?.details.subjects, { length: 3 })
      }
      const own = `a${'0'.repeat(31)}`
      const sent = { ...world.headers.owner, traceparent: `00-${own}-00000000000000aa-01` }
      t.equal((await call(`${world.url}/api/v1/users/${world.owner.id}`, 'GET', undefined, sent)).status, 200)
      t.same(await of(own), [], 'users who read their own data have no entry')
    })
  })
}
