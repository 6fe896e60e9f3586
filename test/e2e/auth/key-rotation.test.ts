import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { Agent, request } from 'undici'
import { serviceNames } from '../../../src/environment.ts'
import { issueAccessToken } from '../../../src/platform/auth/access-tokens.ts'
import { createServiceTokens } from '../../../src/platform/auth/service-tokens.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

const perSecond = 200

const folder = mkdtempSync(join(tmpdir(), 'orderhub-rotation-'))
const keysDir = join(folder, 'keys')
await initKeys(keysDir, serviceNames)
const postgres = await startPostgres()
t.teardown(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
})
const DATABASE_URL = await postgres.createDatabase('rotation', ['user'])

const nowhere = 'http://127.0.0.1:1'
const env = { AUTH: 'on', KEYS_DIR: keysDir, DATA_DIR: folder, DATABASE_URL }
const user = await startService('user', { ...env, SEED: 'true' })
const others = ['ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_SERVICE_URL`, nowhere])
const gateway = await startService('gateway', { ...env, ...Object.fromEntries(others), USER_SERVICE_URL: user.url })
t.teardown(() => Promise.all([gateway.kill(), user.kill()]))

const rotate = (...names: string[]) =>
  promisify(execFile)(process.execPath, [
    fileURLToPath(new URL('../../../src/keys.ts', import.meta.url)),
    ...['rotate', keysDir, '--after', '1', '--force', ...names],
  ])

t.test(`two rotations at ${perSecond} requests a second: no token is refused`, async (t) => {
  const agent = new Agent({ connections: 32 })
  t.teardown(() => agent.close())
  const keys = createKeyStore({ folder: keysDir, strict: true })
  const tokens: string[] = []
  const kids = { access: new Set<unknown>(), service: new Set<unknown>() }
  const statuses: Record<string, number> = {}
  const under = new Set<Promise<void>>()
  let sent = 0
  let rotating = true

  const send = async (origin: string, options: { path: string; method: 'GET' | 'POST'; token: string; body?: string }) => {
    const { path, method, token, body } = options
    const answer = await request(origin + path, {
      dispatcher: agent,
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body }),
    })
    const text = await answer.body.text()
    const code = answer.statusCode === 200 ? '' : (JSON.parse(text).code ?? '')
    statuses[`${answer.statusCode} ${code}`] = (statuses[`${answer.statusCode} ${code}`] ?? 0) + 1
  }
  /** Through the gateway, with tokens of any age, most of them old. */
  const asPerson = async (n: number) => {
    if (n % 20 === 1) {
      const { token } = await issueAccessToken(keys, { userId: 1, sessionVersion: 1 })
      tokens.push(token)
      kids.access.add(decodeProtectedHeader(token).kid)
    }
    await send(gateway.url, {
      path: `/api/v1/users/${1 + (n % 3)}`,
      method: 'GET',
      token: tokens[(n * 7) % tokens.length] as string,
    })
  }
  /** From service to service, with a new token. */
  const asService = async () => {
    const token = await createServiceTokens(keys, 'order').mint('user', { actor: { type: 'service', id: 'order' }, role: null })
    kids.service.add(decodeProtectedHeader(token).kid)
    await send(user.url, { path: '/internal/user/getUsers', method: 'POST', token, body: '{"ids":[3]}' })
  }

  await asPerson(1)
  const load = (async () => {
    const began = performance.now()
    while (rotating) {
      while (sent < ((performance.now() - began) * perSecond) / 1000 && under.size < 500) {
        const work = sent % 10 === 5 ? asService() : asPerson(sent)
        sent++
        const one: Promise<void> = work.finally(() => under.delete(one))
        under.add(one)
      }
      await setTimeout(5)
    }
    await Promise.all(under)
  })()

  await eventually(() => sent > perSecond)
  for (const round of [2, 3]) {
    await rotate()
    const before = sent
    await eventually(() => kids.access.size === round && kids.service.size === round && sent > before + 2 * perSecond)
  }
  const after = sent
  await eventually(() => sent > after + perSecond)
  rotating = false
  await load
  t.strictSame(statuses, { '200 ': sent + 1 })
  t.equal(new Set(tokens.map((token) => decodeProtectedHeader(token).kid)).size, 3)
  t.equal(JSON.parse(readFileSync(join(keysDir, 'access-token.private.json'), 'utf8')).keys.length, 3)
})

t.test('the gateway and the user service publish the current keys', async (t) => {
  const kidsAt = async (url: string) => {
    const { keys } = (await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
    return keys.map(({ kid }) => kid)
  }
  await rotate('access-token')
  await eventually(async () => (await kidsAt(gateway.url)).length === 4 && (await kidsAt(user.url)).length === 4)
  t.strictSame(await kidsAt(gateway.url), await kidsAt(user.url))
})
