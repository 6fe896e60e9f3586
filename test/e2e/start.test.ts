import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { serviceNames } from '../../src/environment.ts'
import { initKeys } from '../../src/platform/keys/key-files.ts'
import { call } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'

const entry = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const run = promisify(execFile)

/** `npm start` on a machine with nothing: what it prints, and the process. */
const firstStart = async (t: Test, dataDir: string) => {
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env.PATH, PORT: '0', METRICS_PORT: '0', DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    const directory = /"directory":"([^"]+)"/.exec(output)?.[1]
    if (!directory) return
    await eventually(() => postgresOf(directory) === 0, { timeoutMs: 20_000 })
    await rm(dirname(directory), { recursive: true, force: true })
  })
  const url = await eventually(() => /OrderHub is ready: (\S+)/.exec(output)?.[1] ?? false, { timeoutMs: 30_000 })
  await eventually(() => output.includes('/api/v1/notifications'))
  return { child, url, output: () => output }
}

/** A folder for DATA_DIR; a private one is out of reach of the account that PostgreSQL runs as when we are root. */
const folder = (t: Test, mode: number) => {
  const made = mkdtempSync(join(tmpdir(), 'orderhub-start-'))
  chmodSync(made, mode)
  t.teardown(() => rm(made, { recursive: true, force: true }))
  return join(made, 'data')
}

/** Processes whose command line names the folder: the embedded PostgreSQL of this test. */
const postgresOf = (dataDir: string): number =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dataDir)
      } catch {
        return false
      }
    }).length

t.test('the first minute: the printed lines work as they are, and the data stays', async (t) => {
  const dataDir = folder(t, 0o700)
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

  first.child.kill('SIGTERM')
  const [status] = await once(first.child, 'exit')
  t.equal(status, 0)

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
  const dataDir = folder(t, 0o755)
  const { child } = await firstStart(t, dataDir)
  t.ok(postgresOf(dataDir) > 1, 'the host process and PostgreSQL')
  child.kill('SIGKILL')
  await eventually(() => postgresOf(dataDir) === 0, { timeoutMs: 20_000 })
})

t.test('in production a missing database is one line, and nothing is started', async (t) => {
  const keysDir = folder(t, 0o755)
  await initKeys(keysDir, serviceNames)
  const child = run(process.execPath, [entry], {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', PORT: '0', METRICS_PORT: '0', KEYS_DIR: keysDir },
  })
  await t.rejects(child, { code: 78, stderr: /^DATABASE_URL is missing[^\n]*\n$/ })
})

t.test('a taken port is one line', async (t) => {
  const { url } = await firstStart(t, folder(t, 0o755))
  const port = new URL(url).port
  const env = { PATH: process.env.PATH, PORT: port, METRICS_PORT: '0', DATA_DIR: folder(t, 0o755) }
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
