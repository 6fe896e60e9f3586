import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { call } from '../../../testing/app.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { directoryIn } from '../../../testing/data-folder.ts'
import { eventually } from '../../../testing/eventually.ts'
import { dataFolder, entry, processesNaming, startPlatform } from '../../../testing/start.ts'

const run = promisify(execFile)

/** Every case uses the folder of the first start: a new database each time would cost more than the case. */
const dataDir = dataFolder(t, 0o700)
/** Without other arguments, as npm start: it sets its heap limits itself. */
const start = async (args: readonly string[] = [entry]) => {
  const started = startPlatform(t, { env: { DATA_DIR: dataDir }, args })
  return { ...started, url: await started.ready() }
}
/** The host process and PostgreSQL, whose folder may be another one. */
const databaseProcesses = (output: string): number => processesNaming(dataDir) + processesNaming(directoryIn(output))
const withoutProc = !existsSync('/proc/self/cmdline') && 'skipped: there is no /proc'

t.test('the first start: the printed commands work, and the data is kept', async (t) => {
  const first = await start()
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

  const second = await start()
  t.notMatch(second.output(), password, 'the password is printed once')
  t.match(second.output(), /Sign in as xiaoming@example\.com/)
  const credentials = { email: 'xiaoming@example.com', password }
  const { body } = await call(`${second.url}/api/v1/auth/login`, 'POST', credentials)
  const again = { authorization: `Bearer ${body.data.access_token}` }
  t.equal((await call(`${second.url}/api/v1/orders/3`, 'GET', undefined, again)).body.data.total, 1000)

  await t.test('repeated signals while the platform stops have no effect', { skip: withoutProc }, async (t) => {
    const { child, output, ended } = second
    child.kill('SIGINT')
    await eventually(() => output().includes('"msg":"stopping"'))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) child.kill(signal)
    t.equal(await ended(), 0)
    t.match(output(), /"msg":"stopped"/)
    await eventually(() => databaseProcesses(output()) === 0, { timeoutMs: 20_000 })
  })
})

t.test('a port in use is reported on one line', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  t.teardown(() => holder.close())
  const { port } = holder.address() as AddressInfo
  const env = { ...childEnvironment(), PORT: String(port), METRICS_PORT: '0', DATA_DIR: dataDir }
  await t.rejects(run(process.execPath, [entry], { env }), { code: 1, stderr: new RegExp(`^port ${port} is in use[^\\n]*\\n$`) })
})

t.test('node --watch starts the platform, and Ctrl-C stops it cleanly', { skip: withoutProc }, async (t) => {
  const { child, url, output, ended } = await start(['--watch', entry])
  t.match(url, /^http/)
  // As a terminal does: the watched process gets the signal twice, because Node.js forwards it.
  process.kill(-(child.pid as number), 'SIGINT')
  await ended()
  t.match(output(), /"msg":"stopped"/)
  t.notMatch(output(), /second/)
  await eventually(() => databaseProcesses(output()) === 0, { timeoutMs: 20_000 })
})

t.test('SIGKILL leaves no database behind', { skip: withoutProc }, async (t) => {
  const { child, output } = await start()
  t.ok(databaseProcesses(output()) > 1, 'the host process and PostgreSQL')
  child.kill('SIGKILL')
  await eventually(() => databaseProcesses(output()) === 0, { timeoutMs: 20_000 })
})

t.test('in production a missing database is reported on one line, and nothing is started', async (t) => {
  const keysDir = dataFolder(t, 0o755)
  await initKeys(keysDir, serviceNames)
  const child = run(process.execPath, [entry], {
    env: { ...childEnvironment(), NODE_ENV: 'production', PORT: '0', METRICS_PORT: '0', KEYS_DIR: keysDir },
  })
  await t.rejects(child, { code: 78, stderr: /^DATABASE_URL is missing[^\n]*\n$/ })
})

const olderNode = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) => existsSync(path) && Number(/\d+/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[0]) < 22,
)
const withoutOlderNode = !olderNode && 'skipped: there is no older Node.js'

/** Programs: files of the folder that no other file imports. */
const programsIn = (folder: string): string[] => {
  const texts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js'))
    .map((path) => readFileSync(join(folder, path), 'utf8'))
  const named = new Set(texts.flatMap((text) => [...text.matchAll(/['"]\.{1,2}\/([\w-]+\.js)['"]/g)].map(([, name]) => name)))
  return readdirSync(folder).filter((name) => name.endsWith('.js') && !named.has(name))
}

t.test('every program refuses an older Node.js with one line', { skip: withoutOlderNode }, async (t) => {
  // Without node_modules: an import before the version check would fail.
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-dist-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const clean = (program: string, args: readonly string[]) => run('env', ['-u', 'NODE_OPTIONS', program, ...args]) // Set by the test runner.
  const project = fileURLToPath(new URL('../../../tsconfig.build.json', import.meta.url))
  const compiler = fileURLToPath(new URL('../../../node_modules/.bin/tsc', import.meta.url))
  await clean(process.execPath, [compiler, '-p', project, '--outDir', folder, '--sourceMap', 'false', '--noCheck'])
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const programs = programsIn(folder)
  for (const known of ['audit', 'keys', 'main', 'migrate', 'reset-admin', 'seed']) t.ok(programs.includes(`${known}.js`), known)
  for (const program of programs)
    await t.rejects(
      clean(olderNode as string, [join(folder, program), '--help']),
      { code: 78, stdout: '', stderr: /^OrderHub needs Node\.js 22\.19 or later[^\n]*\n$/ },
      program,
    )
})
