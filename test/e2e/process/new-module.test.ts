import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'

t.setTimeout(240_000)

interface Body {
  readonly code?: string
  readonly data: { readonly id: number; readonly access_token: string; readonly points: number } & readonly { action: string }[]
}

const root = fileURLToPath(new URL('../../../', import.meta.url))
const parts = [
  'src',
  'testing',
  'scripts',
  'drizzle',
  'docs',
  'charts',
  'deploy',
  'package.json',
  'tsconfig.json',
  '.env.example',
  'biome.json',
  'README.md',
  'README.zh-TW.md',
]
const password = 'a long password of mine'
const env = { PATH: process.env.PATH }

/** A copy of the repository with the module of test/fixtures/loyalty: its folder, and lines in three files. */
const copyWithModule = async (t: Test): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-new-module-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const part of parts) await cp(join(root, part), join(folder, part), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await cp(join(root, 'test/fixtures/loyalty'), join(folder, 'src/modules/loyalty'), { recursive: true })
  const edit = async (file: string, ...changes: readonly (readonly [before: string, line: string])[]) => {
    let text = await readFile(join(folder, file), 'utf8')
    for (const [before, line] of changes) {
      if (!text.includes(before)) throw new Error(`${file} does not have: ${before}`)
      text = text.replace(before, `${line}\n${before}`)
    }
    await writeFile(join(folder, file), text)
  }
  await edit(
    'src/registry.ts',
    ['import { notificationContract', "import { loyaltyContract } from './modules/loyalty/contract.ts'"],
    ['import { notificationContract', "import * as loyaltyUses from './modules/loyalty/dependencies.ts'"],
    ['  gateway: { contract', '  loyalty: { contract: loyaltyContract, ...loyaltyUses },'],
  )
  await edit(
    'src/policy.ts',
    ["    'GET /api/v1/orders':", "    'GET /api/v1/loyalty/:id': ownOr('admin'),"],
    ["    'GET /api/v1/orders':", "    'POST /api/v1/loyalty': only('admin'),"],
  )
  await edit('charts/orderhub/values.yaml', [
    '  audit:\n    enabled: true',
    "  loyalty: { enabled: true, config: {}, existingSecret: '', podAnnotations: {} }",
  ])
  return folder
}

/** Runs a command without the test runner's NODE_OPTIONS, with which the compiler does not load. */
const run = (folder: string, command: string, ...args: readonly string[]) => {
  const PATH = `${join(root, 'node_modules/.bin')}:${env.PATH}`
  const { status, stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', command, ...args], {
    cwd: folder,
    env: { PATH },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return { status, stdout, stderr }
}

const start = async (t: Test, folder: string) => {
  const port = await freePort()
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: folder,
    env: {
      ...env,
      PORT: String(port),
      METRICS_PORT: '0',
      DATA_DIR: join(folder, '.data'),
      ADMIN_EMAIL: 'admin@example.com',
      ADMIN_PASSWORD: password,
      SEED: 'false',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  t.teardown(async () => {
    if (!t.passing()) t.comment(output.slice(-4000))
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  })
  const url = `http://127.0.0.1:${port}`
  await eventually(
    () =>
      fetch(`${url}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    { timeoutMs: 60_000 },
  )
  return url
}

t.test("a new module needs its folder, and lines in the registry, the policy and the chart's values", async (t) => {
  const folder = await copyWithModule(t)
  const textOf = (file: string) => readFile(join(folder, file), 'utf8')

  t.match(run(folder, process.execPath, 'scripts/generate.ts', 'init'), { status: 0, stderr: '' }, 'generated')
  t.match(
    // Its threads would repeat half of the work.
    run(folder, process.execPath, join(root, 'node_modules/.bin/tsc'), '--noEmit', '--singleThreaded'),
    { stdout: '', stderr: '', status: 0 },
    'it compiles',
  )
  t.match(await textOf('docs/modules.md'), /loyalty -->\|getUser\| user\n/)
  t.match(await textOf('docs/modules.md'), /gateway -->\|\/loyalty\| loyalty\n/)
  const { paths, tags } = JSON.parse(await textOf('docs/openapi.json'))
  t.hasProps(paths, ['/api/v1/loyalty', '/api/v1/loyalty/{id}'])
  t.ok(tags.some(({ name }: { name: string }) => name === 'loyalty'))
  t.match(await textOf('README.md'), /`LOYALTY_DATABASE_URL`/)
  const chart = await textOf('charts/orderhub/templates/_modules.tpl')
  for (const line of ['loyalty: [user, audit]', 'loyalty: [user]', 'loyalty: [DATABASE_URL, LOYALTY_DATABASE_URL, REDIS_URL]'])
    t.match(chart, `\n${line}\n`)

  const noHelm = run(folder, 'helm', 'version').status === 0 ? false : 'skipped: helm is not installed'
  await t.test('the chart deploys it and allows its calls', { skip: noHelm }, async (t) => {
    const { status, stdout, stderr } = run(
      folder,
      'helm',
      'template',
      'shop',
      'charts/orderhub',
      '--values',
      'charts/orderhub/ci/everything-values.yaml',
    )
    t.equal(status, 0, stderr)
    t.match(stdout, /kind: Deployment\nmetadata:\n {2}name: shop-orderhub-loyalty\n/)
    t.match(stdout, /kind: NetworkPolicy\nmetadata:\n {2}name: shop-orderhub-loyalty\n/)
    t.match(stdout, 'LOYALTY_SERVICE_URL: http://shop-orderhub-loyalty:8080', 'the gateway has its address')
  })

  const url = await start(t, folder)
  const send = async (method: string, path: string, body?: unknown, token?: string) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, body: (await response.json()) as Body }
  }
  const signIn = await send('POST', '/auth/login', { email: 'admin@example.com', password })
  const token = signIn.body.data.access_token
  const user_id = (await send('GET', '/auth/me', undefined, token)).body.data.id
  t.match(await send('POST', '/loyalty', { user_id, points: 7 }), { status: 401, body: { code: 'auth.required' } }, 'policy')
  const granted = await send('POST', '/loyalty', { user_id, points: 7 }, token)
  t.match(granted, { status: 201, body: { data: { user_id, points: 7 } } }, 'served and migrated')
  t.match(await send('GET', `/loyalty/${granted.body.data.id}`, undefined, token), { status: 200, body: { data: { points: 7 } } })
  t.match(await send('POST', '/loyalty', { user_id: 999, points: 7 }, token), { status: 404, body: { code: 'user.not_found' } })
  t.match(await send('GET', '/loyalty/999', undefined, token), { status: 404, body: { code: 'loyalty.not_found' } })
  await eventually(async () => {
    const { body } = await send('GET', '/audit?resource_type=loyalty', undefined, token)
    return body.data.some(({ action }: { action: string }) => action === 'loyalty.granted')
  })
  t.pass('the audit trail has its event')
})
