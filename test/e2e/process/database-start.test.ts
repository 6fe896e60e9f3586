import { execFile, spawn } from 'node:child_process'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import t from 'tap'
import { databasesAnswer } from '../../../src/app/database-wait.ts'
import { readConfig } from '../../../src/config.ts'
import { DatabaseStartError, untilUsable } from '../../../src/platform/db/startup.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'

t.setTimeout(170_000)

const programs = ['main', 'migrate'] as const
const pathOf = (program: string) => fileURLToPath(new URL(`../../../src/${program}.ts`, import.meta.url))
const environment = (url: string, wait: string) => ({
  ...childEnvironment(),
  SERVICE: 'product',
  DATABASE_URL: url,
  REDIS_URL: 'redis://127.0.0.1:1',
  DATABASE_WAIT_SECONDS: wait,
  DATA_DIR: dataDir,
  PORT: '0',
  METRICS_PORT: '0',
  LOG_LEVEL: 'error',
})
const dataDir = t.testdir()

const outcome = (program: string, url: string, wait = '1') =>
  new Promise<{ status: number; lines: string[]; text: string }>((resolve) => {
    execFile(process.execPath, [pathOf(program)], { env: environment(url, wait) }, (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`
      resolve({ status: Number(error?.code ?? 0), lines: text.trim().split('\n'), text })
    })
  })

const server = await startOwnPostgres()
t.teardown(() => server.stop())
const migrated = await server.createDatabase('migrated', ['product'])
const owner = postgres(migrated, { max: 1, onnotice: () => {} })
await owner`create role outsider login password 'quiet-harbour'`
await owner`create role reader login password 'quiet-harbour'`
await owner`grant usage on schema orderhub_migrations to reader`
await owner`grant select on all tables in schema orderhub_migrations to reader`
await owner.end()

const changed = (
  url: string,
  fields: Partial<Record<'hostname' | 'port' | 'username' | 'password' | 'pathname' | 'search', string>>,
) => Object.assign(new URL(url), fields).href
const quiet = { username: 'outsider', password: 'quiet-harbour' }

/** Accepts connections and never responds. */
const silent: Server = createServer((socket) => socket.on('error', () => {}))
await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
t.teardown(() => silent.close())
const silentPort = String((silent.address() as { port: number }).port)

/** Faults, with the step that the error must name and the exit status: 78 if it needs an operator. */
const faults: Record<string, [url: string, step: RegExp, status: number]> = {
  'an unknown host name': [
    changed(migrated, { hostname: 'no-such-host.invalid' }),
    /name look-up failed: .*(ENOTFOUND|EAI_AGAIN|no response)/,
    1,
  ],
  'a closed port': [changed(migrated, { port: '1' }), /at 127\.0\.0\.1:1\/test_migrated: connection failed: .*refuses it/, 1],
  'a port that accepts connections and does not respond': [
    changed(migrated, { port: silentPort }),
    /connection failed: .*does not respond: is it PostgreSQL/,
    1,
  ],
  'a server without TLS': [changed(migrated, { search: '?sslmode=require' }), /TLS failed: the server does not offer it/, 78],
  'a wrong password': [changed(migrated, { password: 'loud-harbour' }), /login failed: password authentication failed/, 78],
  'a missing database': [changed(migrated, { pathname: '/none' }), /database failed: database "none" does not exist/, 78],
}

/** The error that ends the wait for this database of the product service. */
const lineOf = async (url: string): Promise<{ line: string; lasting: boolean }> => {
  const config = readConfig({ ...environment(url, '1'), PATH: undefined })
  try {
    await databasesAnswer(config, () => {})
  } catch (error) {
    if (error instanceof DatabaseStartError) return { line: error.message, lasting: error.lasting }
    throw error
  }
  return { line: '', lasting: false }
}

t.test('one line states the failed step and for how long it was tried, without the password', async (t) => {
  for (const [what, [url, step, status]] of Object.entries(faults)) {
    const { line, lasting } = await lineOf(url)
    t.match(line, step, what)
    t.match(line, /^the database of product[^\n]*$/, what)
    t.match(line, /; tried for \d+ s$/, what)
    t.equal(lasting, status === 78, what)
    t.notOk(line.includes('harbour'), `${what}: no password`)
    t.notOk(line.includes(new URL(url).password), `${what}: no password`)
  }
})

t.test('the programs print that line, with exit status 78 if the fault needs an operator', async (t) => {
  const some = ['an unknown host name', 'a port that accepts connections and does not respond', 'a wrong password']
  await Promise.all(
    some.flatMap((what) =>
      programs.map(async (program) => {
        const [url, step, status] = faults[what] as (typeof faults)[string]
        const ended = await outcome(program, url)
        t.equal(ended.status, status, `${program}, ${what}: ${ended.text}`)
        t.match(ended.lines.at(-1), step, `${program}, ${what}`)
        t.notOk(ended.text.includes(new URL(url).password), `${program}, ${what}: no password`)
        if (program === 'main') t.equal(ended.lines.length, 1, `${what}: one line`)
      }),
    ),
  )
})

t.test('missing privileges of the login are reported as such', async (t) => {
  const bare = await server.createDatabase('bare')
  const [main, reader, migrate] = await Promise.all([
    outcome('main', changed(migrated, quiet)),
    outcome('main', changed(migrated, { ...quiet, username: 'reader' })),
    outcome('migrate', changed(bare, quiet)),
  ])
  t.match(main, {
    status: 78,
    lines: [/^the database of product: rights failed: permission denied for schema orderhub_migrations/],
  })
  t.match(reader, { status: 78, lines: [/rights failed: the login may not read the schema products/] })
  t.match(migrate, { status: 78, lines: [/^the database of product: rights failed: permission denied for database/] })
})

t.test('a role that is missing, or not granted to this login', async (t) => {
  const look = (url: string, role: string) => untilUsable({ url, role, of: ['audit'] }, { waitMs: 0, onWait: () => {} })
  await t.rejects(look(migrated, 'nobody'), { message: /role failed: .*nobody/, lasting: true })
  await t.rejects(look(changed(migrated, quiet), 'reader'), { message: /role failed: .*reader/, lasting: true })
})

t.test('the start waits for a database that comes up later, and logs the wait', async (t) => {
  const port = await freePort()
  const url = changed(migrated, { port: String(port) })
  const children = programs.map((program) => {
    const child = spawn(process.execPath, [pathOf(program)], { env: { ...environment(url, '120'), LOG_LEVEL: 'info' } })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk
      })
    return { child, output: () => output }
  })
  const open = new Set<Socket>()
  const later = createServer((socket) => {
    const there = connect(Number(new URL(migrated).port), '127.0.0.1')
    for (const one of [socket, there]) open.add(one.on('error', () => {}))
    socket.pipe(there).pipe(socket)
  })
  t.teardown(() => {
    for (const { child } of children) child.kill('SIGKILL')
    for (const one of open) one.destroy()
    later.close()
  })
  const [main, migrate] = children
  for (const { output } of children)
    await eventually(() => /connection failed: .*refuses it.*; trying again for up to 120 s/.test(output()), {
      timeoutMs: 60_000,
    })
  later.listen(port, '127.0.0.1')
  await eventually(() => /"msg":"ready"/.test(main?.output() ?? ''), { timeoutMs: 60_000 })
  await eventually(() => /migrated: product/.test(migrate?.output() ?? ''), { timeoutMs: 60_000 })
  for (const { output } of children) {
    t.equal(output().match(/trying again/g)?.length, 1, 'each reason is logged once')
    t.notOk(output().includes(new URL(url).password))
  }
})

t.test('SIGTERM ends the wait', async (t) => {
  const child = spawn(process.execPath, [pathOf('main')], {
    env: { ...environment(changed(migrated, { port: '1' }), '120'), LOG_LEVEL: 'warn' },
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  await eventually(() => output.includes('trying again'), { timeoutMs: 60_000 })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  t.equal(await ended, 143)
})
