import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createEventQueues } from '../../../src/platform/queue/event-queues.ts'
import { createServerClock } from '../../../src/platform/queue/server-clock.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'

t.setTimeout(120_000)

const pathOf = (name: string) => fileURLToPath(new URL(`../../../testing/${name}.ts`, import.meta.url))
const log = pino({ level: 'silent' })
let serial = 0
const message = () => ({ id: `0199c0de-0000-7000-8000-${String(++serial).padStart(12, '0')}`, payload: {} })

const server = await startPostgres()
t.teardown(() => server.stop())

/** A process that consumes a queue, with its clock `shiftMs` ahead. */
const startWorker = (t: Test, databaseUrl: string, queue: string, shiftMs: number, lockMs: number) => {
  const args = ['--import', pathOf('shifted-clock'), pathOf('queue-worker'), 'postgres', databaseUrl, queue]
  const child = spawn(process.execPath, [...args, String(lockMs), '1000', '5'], {
    env: { ...childEnvironment(), CLOCK_AHEAD_MS: String(shiftMs) },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const taken: string[] = []
  child.stdout.on('data', (chunk) => taken.push(...String(chunk).trim().split('\n')))
  return taken
}

t.test('completed jobs are seen at once, whatever the clocks of the workers say', async (t) => {
  const databaseUrl = await server.createDatabase('ends')
  const queues = await createEventQueues({ databaseUrl, log })
  t.teardown(() => queues.close())
  const told = new Map<string, number>()
  await queues.onCompleted('orders', (ids) => {
    for (const id of ids) if (!told.has(id)) told.set(id, performance.now())
  })
  const slow = startWorker(t, databaseUrl, 'orders', -4_000, 10_000)
  const fast = startWorker(t, databaseUrl, 'orders', 4_000, 10_000)
  const messages: { id: string }[] = []
  // Both workers must complete many jobs: times that one writes must not hide the other's.
  await eventually(
    async () => {
      const some = Array.from({ length: 20 }, message)
      messages.push(...some)
      await queues.publish('orders', some)
      const done = new Set([...slow, ...fast])
      await eventually(() => {
        for (const id of [...slow, ...fast]) done.add(id)
        return messages.every(({ id }) => done.has(id))
      })
      return slow.length >= 20 && fast.length >= 20
    },
    { timeoutMs: 60_000, everyMs: 100 },
  )
  const finished = performance.now()
  await eventually(() => messages.every(({ id }) => told.has(id)), { timeoutMs: 8_000 })
  const late = Math.max(...told.values()) - finished
  t.comment(`${messages.length} jobs, ${slow.length} by the slow clock; last completion seen ${Math.round(late)} ms after it`)
  t.same(slow.length + fast.length, messages.length, 'each job ran once')
})

t.test('a process whose clock is ahead does not take jobs that others are running', async (t) => {
  const databaseUrl = await server.createDatabase('locks')
  const lockMs = 2_000
  const queues = await createEventQueues({ databaseUrl, log, lockMs, stalledMs: 1_000 })
  t.teardown(() => queues.close())
  const { promise: finish, resolve } = Promise.withResolvers<void>()
  const own: string[] = []
  await queues.consume(
    'orders',
    async ({ message }) => {
      own.push(message.id)
      await finish
    },
    { concurrency: 1 },
  )
  const one = message()
  await queues.publish('orders', [one])
  await eventually(() => own.length === 1)
  const ahead = startWorker(t, databaseUrl, 'orders', 15_000, lockMs)
  const client = new pg.Client(databaseUrl)
  await client.connect()
  t.teardown(() => client.end())
  // This worker is busy, so the other takes the next job, and then checks several times for jobs with an expired lock.
  const next = message()
  await queues.publish('orders', [next])
  await eventually(() => ahead.length > 0, { timeoutMs: 30_000 })
  const checks = new Set<string>()
  await eventually(
    async () => {
      const { rows } = await client.query("select value from bullmq.meta where queue = 'orders' and field = 'stalled-check'")
      checks.add(rows[0]?.value)
      return checks.size >= 6 || ahead.length > 1
    },
    { timeoutMs: 60_000, everyMs: 100 },
  )
  t.same(ahead, [next.id], 'it took only the job that was not running')
  resolve()
  await eventually(async () => (await queues.states('orders', [one.id])).get(one.id) === 'completed')
  t.same(own, [one.id])
})

t.test('a clock gets the smallest correction that agrees with the server', async (t) => {
  const clock = createServerClock()
  const now = Date.now()
  clock.observe(now + 50, now, now + 100)
  t.equal(clock.toServer(now), now, 'a slow response is not a difference between the clocks')
  clock.observe(now + 5_000, now, now + 100)
  t.equal(clock.toServer(now), now + 4_900)
  t.equal(clock.fromServer(now + 4_900), now)
  clock.observe(now - 5_000, now, now + 100)
  t.equal(clock.toServer(now), now - 5_000)
  for (const value of ['1', 5, null, now - 10 ** 11]) t.equal(clock.toServer(value), value)
})
