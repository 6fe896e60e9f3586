import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { ports, serviceNames } from '../../../src/environment.ts'
import { amounts } from '../../../testing/amounts.ts'
import { call } from '../../../testing/app.ts'
import { passwordIn, signIn } from '../../../testing/data-folder.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { dataFolder, type Started, startPlatform } from '../../../testing/start.ts'

t.setTimeout(600_000)
const args = [fileURLToPath(new URL('../../../scripts/start-split.ts', import.meta.url))]
const cwd = fileURLToPath(new URL('../../..', import.meta.url))
const withoutProc = !existsSync('/proc/self/environ') && 'skipped: there is no /proc'

interface Running {
  readonly pid: number
  readonly service: string | undefined
}

/** All processes with this DATA_DIR, including the database's. */
const running = (dataDir: string): Running[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
        const service = lines.find((line) => line.startsWith('SERVICE='))?.slice(8)
        return lines.includes(`DATA_DIR=${dataDir}`) ? [{ pid: Number(pid), service }] : []
      } catch {
        return []
      }
    })

const nothingIsLeft = (dataDir: string) => eventually(() => running(dataDir).length === 0, { timeoutMs: 20_000 })

/** Signals the whole process group, as a terminal does. */
const ctrlC = ({ child }: Started) => process.kill(-(child.pid as number), 'SIGINT')

const startSplit = (t: Test, env: Record<string, string>) => startPlatform(t, { env, args })

/** Holds a port for the test; of a port in use by another process, the effect is the same. */
const hold = async (t: Test, port: number): Promise<number> => {
  const holder = createServer().listen(port, '127.0.0.1')
  t.teardown(() => holder.close())
  await once(holder, 'listening').catch(() => {})
  return (holder.address() as AddressInfo | null)?.port ?? port
}

// One folder for all starts: a new one costs five databases.
t.test('separate services: one banner with working addresses, Ctrl-C, and the data is kept', { skip: withoutProc }, async (t) => {
  const dataDir = dataFolder(t, 0o755)
  const env = { DATA_DIR: dataDir, PORT: String(await freePort()), METRICS_PORT: String(await freePort()) }
  await hold(t, ports.audit)
  const first = startSplit(t, env)
  const url = await first.ready()
  t.equal(url, `http://127.0.0.1:${env.PORT}`, "PORT is the gateway's port")
  t.equal((await fetch(`http://127.0.0.1:${env.METRICS_PORT}/metrics`)).status, 200, "METRICS_PORT is its metrics' port")
  t.equal(first.output().match(/OrderHub is ready/g)?.length, 1)
  const addresses = [...first.output().matchAll(/^ {2}(\w+): +(http:\S+:\d+)$/gm)].filter(([, name]) => name && name in ports)
  t.same(
    addresses.map(([, name]) => name).toSorted(),
    Object.keys(ports)
      .filter((name) => name !== 'gateway')
      .toSorted(),
  )
  t.notOk(
    addresses.some(([, , address]) => address?.endsWith(`:${ports.audit}`)),
    'a service whose port is in use gets a free one',
  )
  for (const [, name = '', address] of addresses) t.equal((await call(`${address}/health/ready`)).status, 200, name)

  const password = passwordIn(first.output())
  const { status, headers } = await signIn(url, password)
  t.equal(status, 200)
  const order = { user_id: 3, items: [{ product_id: 2, quantity: 2 }] }
  const placed = await call(`${url}/api/v1/orders`, 'POST', order, headers)
  t.equal(placed.status, 201)

  ctrlC(first)
  await eventually(() => first.output().includes('"msg":"stopping"'))
  ctrlC(first)
  t.equal(await first.ended(), 0)
  t.equal(first.output().match(/"msg":"stopped"/g)?.length, 7, 'six services and their parent process')
  t.equal(running(dataDir).length, 0)

  const second = startSplit(t, env)
  const again = await second.ready()
  t.equal(passwordIn(second.output()), '', 'the password is printed once')
  const known = await signIn(again, password)
  t.equal((await call(`${again}/api/v1/orders/${placed.body.data.id}`, 'GET', undefined, known.headers)).status, 200)

  const resetLine = /^ +(.*npm run reset-admin.*)$/m.exec(second.output())?.[1] ?? 'false'
  const { stdout } = await promisify(execFile)('sh', ['-c', resetLine], { cwd })
  const made = /was given the password (\S+)$/m.exec(stdout)?.[1] ?? ''
  t.equal((await signIn(again, password)).status, 401)
  t.equal((await signIn(again, made)).status, 200)
  const plain = await promisify(execFile)('sh', ['-c', `DATA_DIR=${dataDir} npm run reset-admin`], { cwd })
  const another = /was given the password (\S+)$/m.exec(plain.stdout)?.[1] ?? ''
  t.equal((await signIn(again, another)).status, 200, 'works without --split if there is only one kind of data folder')

  const victim = running(dataDir).find(({ service }) => service === 'product')
  process.kill(victim?.pid as number, 'SIGKILL')
  t.equal(await second.ended(), 1)
  t.match(second.output(), /^the product process ended by SIGKILL: the others are ended, too$/m)
  t.equal(running(dataDir).length, 0)

  await t.test('SIGKILL leaves no process behind', async (t) => {
    const third = startSplit(t, env)
    if (amounts.readyBeforeKill) await third.ready()
    const services = () => new Set(running(dataDir).flatMap(({ service }) => service ?? []))
    await eventually(() => serviceNames.every((name) => services().has(name)), { timeoutMs: 60_000 })
    third.child.kill('SIGKILL')
    await nothingIsLeft(dataDir)
  })
})

t.test('a gateway port in use: one line with a command that works, and no data is created', async (t) => {
  const dataDir = dataFolder(t, 0o755)
  const port = await hold(t, 0)
  const started = startSplit(t, { DATA_DIR: dataDir, PORT: String(port) })
  t.equal(await started.ended(), 1)
  const [line = '', ...more] = started.output().trim().split('\n')
  t.match(line, new RegExp(`^port ${port} is in use.*; this starts beside it: .*PORT=\\d+ .*npm run start:split$`))
  t.same(more, [])
  t.notOk(existsSync(dataDir))
})

t.test('a configuration mistake is reported on one line', async (t) => {
  const started = startSplit(t, { DATA_DIR: dataFolder(t, 0o755), RATE_LIMIT_PER_MINUTE: 'many' })
  t.equal(await started.ended(), 78)
  t.match(started.output(), /^RATE_LIMIT_PER_MINUTE [^\n]+\n$/)
})
