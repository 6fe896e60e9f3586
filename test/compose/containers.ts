import type { Test } from 'tap'
import { eventually } from '../../testing/eventually.ts'
import { type Composition, docker } from './docker.ts'

const inspect = async (composition: Composition, service: string) =>
  JSON.parse(await docker(['inspect', await composition.containerOf(service), '--format', '{{json .}}']))

/** Exit status 0 if a TCP connection opens. */
const connects = (host: string, port: number) => [
  'node',
  '-e',
  `require('node:net').connect({ host: '${host}', port: ${port}, timeout: 2000 }, () => process.exit(0)).on('error', () => process.exit(1)).on('timeout', () => process.exit(1))`,
]

/** How the containers are restricted, and how they stop. */
export const containerSuite = async (t: Test, composition: Composition): Promise<void> => {
  const { services, inside, compose } = composition

  await t.test('read-only, uid 1000, no capability, Node.js as the first process', async (t) => {
    for (const service of services) {
      const status = await inside(service, 'cat', '/proc/1/status')
      t.match(status, /^Name:\s+(node|MainThread)$/m, service)
      t.match(status, /^Uid:\s+1000\s+1000\s+1000\s+1000$/m)
      t.match(status, /^CapEff:\s+0+$/m)
      t.match(status, /^CapBnd:\s+0+$/m)
      t.match(status, /^NoNewPrivs:\s+1$/m)
      await t.rejects(inside(service, 'touch', '/app/dist/x'), { message: /Read-only file system/ })
      await t.rejects(inside(service, 'touch', '/keys/x'), { message: /Read-only file system/ })
    }
  })

  await t.test('nginx, the databases and the mail catcher are restricted too', async (t) => {
    for (const service of ['nginx', 'postgres', 'redis', 'mail']) {
      const { HostConfig, Config } = await inspect(composition, service)
      t.match(HostConfig, { ReadonlyRootfs: true, CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges:true'] }, service)
      t.ok(HostConfig.Memory > 0 && HostConfig.PidsLimit > 0, 'limits')
      t.equal(HostConfig.RestartPolicy.Name, 'unless-stopped')
      t.notMatch(Config.User, /^(0|root)?$/)
      t.match(await inside(service, 'cat', '/proc/1/status'), /^CapEff:\s+0+$/m)
    }
  })

  await t.test('each service has only its own keys and the public ones', { skip: services.length === 1 }, async (t) => {
    for (const service of services) {
      const files = (await inside(service, 'ls', '/keys')).split('\n')
      const more: Record<string, string[]> = {
        user: ['access-token.private.json', 'data-keys.private.json'],
        audit: ['audit-checkpoint.private.json'],
      }
      const own = [`audit-entry-${service}.private.json`, `service-${service}.private.json`, 'public.json']
      t.same(files.sort(), [...own, ...(more[service] ?? [])].sort(), service)
    }
  })

  await t.test('nginx and the gateway cannot reach the databases', async (t) => {
    const [entry] = services as readonly [string]
    const within = services.length === 1 ? entry : 'order'
    await inside(within, ...connects('postgres', 5432))
    await inside(within, ...connects('redis', 6379))
    if (services.length > 1)
      for (const [host, port] of [['postgres', 5432] as const, ['redis', 6379] as const, ['mail', 1025] as const])
        await t.rejects(inside('gateway', ...connects(host, port)), `the gateway reaches ${host}`)
    for (const host of ['postgres', 'redis', 'order', 'mail'])
      await t.rejects(inside('nginx', 'getent', 'hosts', host), `nginx finds ${host}`)
    await inside('nginx', 'getent', 'hosts', 'entry')
  })

  await t.test('a service’s login can only use its own database', async (t) => {
    const enter = (login: string, password: string, database: string, statement: string) =>
      inside('postgres', 'psql', `postgres://${login}:${password}@127.0.0.1/orderhub_${database}`, '-Atc', statement)
    t.equal(await enter('user_service', 'user', 'user', 'select 1'), '1')
    await t.rejects(enter('user_service', 'user', 'order', 'select 1'), { message: /permission denied for database/ })
    await t.rejects(enter('audit_service', 'audit', 'audit', 'delete from audits.entries'), { message: /permission denied/ })
    t.equal(await enter('audit_service', 'audit', 'audit', "select pg_has_role('orderhub_audit_owner', 'MEMBER')"), 'f')
  })

  await t.test('nginx accepts its configuration', async (t) => {
    await inside('nginx', 'nginx', '-t', '-q')
    t.pass()
  })

  await t.test('SIGTERM stops a service quickly, with status 0; nginx finds it again when recreated', async (t) => {
    const [entry] = services as readonly [string]
    const began = Date.now()
    await compose('stop', '--timeout', '30', entry)
    t.ok(Date.now() - began < 10_000, `${Date.now() - began} ms`)
    t.equal((await inspect(composition, entry)).State.ExitCode, 0)
    const away = await fetch('https://127.0.0.1:8443/health/ready')
    t.equal(away.status, 503)
    t.match(await away.json(), { success: false, code: 'upstream.unavailable', status: 503 })
    t.ok(away.headers.get('retry-after'))
    await compose('up', '--detach', '--wait', '--no-deps', '--force-recreate', entry)
    await eventually(async () => (await fetch('https://127.0.0.1:8443/health/ready')).ok, { timeoutMs: 15_000 })
  })
}
