import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { call } from '../../../testing/app.ts'
import { passwordIn, signIn } from '../../../testing/data-folder.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { dataFolder, type Started, startPlatform } from '../../../testing/start.ts'

t.setTimeout(600_000)
const cwd = fileURLToPath(new URL('../../..', import.meta.url))

const listenOn = async (t: Test, port: number) => {
  const server = createServer((_request, response) => response.end('another program'))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Runs a printed command as a user would. */
const runLine = (line: string) => promisify(execFile)('sh', ['-c', line], { cwd })

/** Runs the printed command; returns the new password. */
const reset = async (line: string): Promise<string> => {
  const { stdout } = await runLine(line)
  return /^The administrator xiaoming@example\.com was given the password (\S+)$/m.exec(stdout)?.[1] ?? `none in ${stdout}`
}
const resetLineIn = (started: Started) => /^ +(.*npm run reset-admin)$/m.exec(started.output())?.[1] ?? 'false'

/** One folder for both cases: a second new database would cost more than all else. */
const dataDir = dataFolder(t, 0o755)
const start = (env: Record<string, string>) => startPlatform(t, { env: { DATA_DIR: dataDir, ...env } })
let lost = ''

t.test('before the first start there is no password to replace', async (t) => {
  await t.rejects(runLine(`DATA_DIR=${dataDir} npm run reset-admin`), { code: 78, stderr: /has no database yet/ })
})

t.test('a port is in use: the error names the process and a command that works, which prints the password', async (t) => {
  const env = { PORT: String(await freePort()), METRICS_PORT: String(await listenOn(t, 0)) }
  const refused = start(env)
  t.equal(await refused.ended(), 1)
  const holder = `port ${env.METRICS_PORT} is in use by node (process ${process.pid})`
  const [, line] =
    new RegExp(`^${holder.replace(/[()]/g, '\\$&')}; this starts beside it: ([^\\n]+)\\n$`, 'm').exec(refused.output()) ?? []
  t.ok(line, refused.output())
  t.equal(passwordIn(refused.output()), '', 'no password was created')

  const words = line?.split(' ') ?? []
  t.same(words.slice(-2), ['npm', 'start'])
  const offered = Object.fromEntries(words.slice(0, -2).map((word) => word.split('=') as [string, string]))
  t.match(offered, { DATA_DIR: dataDir, PORT: env.PORT })
  t.not(offered.METRICS_PORT, env.METRICS_PORT)
  const first = start(offered)
  const url = await first.ready()
  lost = passwordIn(first.output())
  t.equal((await signIn(url, lost)).status, 200)
  t.match(first.output(), new RegExp(`was given the password ${lost}\\n[^]*OrderHub is ready`), 'printed before the other lines')
  await first.stop()
})

t.test('a lost password: the printed command sets a new one, whether the platform is running or stopped', async (t) => {
  const second = start({})
  const url = await second.ready()
  const before = await signIn(url, lost)
  const orders = await call(`${url}/api/v1/orders`, 'GET', undefined, before.headers)
  t.equal(orders.status, 200)
  const line = resetLineIn(second)
  const running = await reset(line)
  t.equal((await signIn(url, lost)).status, 401)
  t.equal((await call(`${url}/api/v1/orders`, 'GET', undefined, before.headers)).status, 401, 'sessions end')
  const now = await signIn(url, running)
  t.equal(now.status, 200)
  t.same((await call(`${url}/api/v1/orders`, 'GET', undefined, now.headers)).body, orders.body, 'other data is kept')
  await eventually(async () => {
    const { body } = await call(`${url}/api/v1/audit?limit=100`, 'GET', undefined, now.headers)
    return JSON.stringify(body.data).includes('user.password_changed')
  })
  await second.stop()

  const stopped = await reset(line)
  const third = start({})
  const again = await third.ready()
  t.equal((await signIn(again, running)).status, 401)
  t.equal((await signIn(again, stopped)).status, 200)
})
