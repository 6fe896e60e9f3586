import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { serviceNames } from '../../src/environment.ts'
import { initKeys } from '../../src/platform/keys/key-files.ts'
import { call } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { dataFolder, entry, processesNaming, startPlatform } from '../support/start.ts'

const run = promisify(execFile)

const firstStart = async (t: Test, dataDir: string) => {
  const started = startPlatform(t, { env: { DATA_DIR: dataDir } })
  return { ...started, url: await started.ready() }
}

t.test('the first minute: the printed lines work as they are, and the data stays', async (t) => {
  const dataDir = dataFolder(t, 0o700)
  const first = await firstStart(t, dataDir)
  t.match(first.output(), /API reference: +http:\/\/127\.0\.0\.1:\d+\/docs/)

  const lines = first.output().match(/^ +(curl|TOKEN=).*$/gm) ?? []
  t.equal(lines.length, 4)
  const password = /keep the password: (\S+)/.exec(first.output())?.[1] ?? ''
  t.match(password, /^[\w-]{20}$/)
  const copied = lines.map((line) => line.trim().replace('curl', 'curl -sS --fail-with-body'))
  const { stdout } = await run('sh', ['-ec', [...copied.flatMap((line) => [line, 'echo']), 'echo "$TOKEN"'].join('\n')])
  const answers = stdout.trim().split('\n')
  const headers = { authorization: `Bearer ${answers.pop()}` }
  t.match(answers[0], /筆記型電腦/)
  t.match(JSON.parse(answers[1] ?? '{}'), { success: true, data: { id: 3, user_id: 3, total: 1000, status: 'pending' } })
  t.equal(JSON.parse(answers[2] ?? '{}').success, true)
  t.equal((await call(`${first.url}/docs/`)).status, 200)

  const listed = await eventually(async () => {
    const { body } = await call(`${first.url}/api/v1/notifications?status=sent`, 'GET', undefined, headers)
    return body.count === 2 && body
  })
  const [{ event_id }] = listed.data
  t.ok(existsSync(join(dataDir, 'mail', '3', `${event_id}.eml`)), 'the e-mail is a file')
  t.ok(existsSync(join(dataDir, 'mail', '3', `${event_id}.sms.json`)), 'the SMS is a file')

  t.equal(await first.stop(), 0)

  const second = await firstStart(t, dataDir)
  t.notMatch(second.output(), password, 'the password is shown once')
  t.match(second.output(), /Sign in as xiaoming@example\.com/)
  const credentials = { email: 'xiaoming@example.com', password }
  const { body } = await call(`${second.url}/api/v1/auth/login`, 'POST', credentials)
  const again = { authorization: `Bearer ${body.data.access_token}` }
  t.equal((await call(`${second.url}/api/v1/orders/3`, 'GET', undefined, again)).body.data.total, 1000)
})

const withoutProc = !existsSync('/proc/self/cmdline') && 'left out: this system has no /proc'

t.test('SIGKILL leaves no database behind', { skip: withoutProc }, async (t) => {
  const dataDir = dataFolder(t, 0o755)
  const { child } = await firstStart(t, dataDir)
  t.ok(processesNaming(dataDir) > 1, 'the host process and PostgreSQL')
  child.kill('SIGKILL')
  await eventually(() => processesNaming(dataDir) === 0, { timeoutMs: 20_000 })
})

t.test('node --watch starts the platform', { skip: withoutProc }, async (t) => {
  const started = startPlatform(t, { env: { DATA_DIR: dataFolder(t, 0o755) }, args: ['--watch', entry] })
  t.match(await started.ready(), /^http/)
})

t.test('in production a missing database is one line, and nothing is started', async (t) => {
  const keysDir = dataFolder(t, 0o755)
  await initKeys(keysDir, serviceNames)
  const child = run(process.execPath, [entry], {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', PORT: '0', METRICS_PORT: '0', KEYS_DIR: keysDir },
  })
  await t.rejects(child, { code: 78, stderr: /^DATABASE_URL is missing[^\n]*\n$/ })
})

t.test('a taken port is one line', async (t) => {
  const { url } = await firstStart(t, dataFolder(t, 0o755))
  const port = new URL(url).port
  const env = { PATH: process.env.PATH, PORT: port, METRICS_PORT: '0', DATA_DIR: dataFolder(t, 0o755) }
  await t.rejects(run(process.execPath, [entry], { env }), { code: 1, stderr: new RegExp(`^port ${port} is in use[^\\n]*\\n$`) })
})

const olderNode = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) => existsSync(path) && Number(/\d+/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[0]) < 22,
)
const withoutOlderNode = !olderNode && 'left out: there is no older Node on this machine'

t.test('an older Node is told so in one line', { skip: withoutOlderNode }, async (t) => {
  const script = stripTypeScriptTypes(readFileSync(entry, 'utf8'))
  await t.rejects(run(olderNode as string, ['--input-type=module', '-e', script]), {
    code: 78,
    stderr: /^OrderHub needs Node\.js 22\.19 or later[^\n]*\n$/,
  })
})
