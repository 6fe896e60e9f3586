import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { createEventQueues, type EventQueues } from '../../../src/platform/queue/event-queues.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'

t.setTimeout(180_000)

type Subscriptions = readonly { readonly type: string; readonly queue: string }[]

const older: Subscriptions = [{ type: '*', queue: 'trail' }]
/** A new subscriber of a known type, and a type that the older version does not know. */
const newer: Subscriptions = [...older, { type: 'order.created', queue: 'loyalty' }, { type: 'order.rated', queue: 'loyalty' }]

/** Starts a process of a version: testing/version-worker.ts. */
const startVersion = async (t: Test, url: string, transport: string, subscriptions: Subscriptions) => {
  const script = fileURLToPath(new URL('../../../testing/version-worker.ts', import.meta.url))
  const child = spawn(process.execPath, [script, url, transport, JSON.stringify(subscriptions)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ids: string[] = []
  const lines = createInterface({ input: child.stdout })
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  t.teardown(kill)
  await once(lines, 'line')
  lines.on('line', (id) => ids.push(id))
  return {
    kill,
    /** Commits `count` events of a type; returns their ids. */
    commit: async (type: string, count: number): Promise<string[]> => {
      const before = ids.length
      child.stdin.write(`${type} ${count}\n`)
      await eventually(() => ids.length >= before + count, { timeoutMs: 30_000 })
      return ids.slice(before, before + count)
    },
  }
}

/** How often each event reached a subscriber. */
const subscriber = async (queues: EventQueues, queue: string) => {
  const times = new Map<string, number>()
  await queues.consume(
    queue,
    async ({ message }) => {
      times.set(message.id, (times.get(message.id) ?? 0) + 1)
    },
    { concurrency: 5 },
  )
  return {
    count: (ids: readonly string[]) => ({
      lost: ids.filter((id) => !times.has(id)).length,
      doubled: ids.filter((id) => (times.get(id) ?? 0) > 1).length,
    }),
    took: (ids: readonly string[]) => ids.filter((id) => times.has(id)).length,
  }
}

await onEachBackend(t, 'two versions over one outbox', async (t, env) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('versions', ['order'])
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  await sql`delete from orders.subscriptions`
  const transport = env.REDIS_URL ?? (await server.createDatabase('events'))
  const queues = await createEventQueues({
    ...(env.REDIS_URL === undefined ? { databaseUrl: transport } : { redisUrl: transport }),
    log: pino({ level: 'silent' }),
  })
  t.teardown(() => queues.close())
  const trail = await subscriber(queues, 'trail')
  const loyalty = await subscriber(queues, 'loyalty')
  const none = { lost: 0, doubled: 0 }

  const old = await startVersion(t, url, transport, older)
  const before = await old.commit('order.created', 20)
  await eventually(() => trail.took(before) === 20)

  // A rolling upgrade: both versions commit, and both relays claim events.
  let canary = await startVersion(t, url, transport, newer)
  const both = async () => [...(await canary.commit('order.created', 60)), ...(await canary.commit('order.rated', 60))]
  const during = (await Promise.all([old.commit('order.created', 60), both()])).flat()
  // The canary is killed meanwhile; the older version remains, with rows of a queue that it does not know.
  await canary.kill()
  const alone = await old.commit('order.created', 40)
  const everything = [...during, ...alone]
  const trailed = performance.now()
  // Events claimed by the killed relay are due again when its lease ends.
  await eventually(() => trail.took(everything) === everything.length, { timeoutMs: 40_000 })
  t.comment(`the trail is complete ${Math.round(performance.now() - trailed)} ms after the canary was killed`)
  const waiting = await sql`select from orders.outbox where queue = 'loyalty'`
  t.ok(waiting.length >= 40, `the older version leaves events for a queue that it does not know: ${waiting.length} wait`)

  const returned = performance.now()
  canary = await startVersion(t, url, transport, newer)
  await eventually(() => loyalty.took(everything) === everything.length, { timeoutMs: 40_000 })
  t.comment(
    `the new subscriber is complete ${Math.round(performance.now() - returned)} ms after the newer version was started again`,
  )
  t.same(trail.count([...before, ...everything]), none)
  t.same(loyalty.count(everything), none)
  t.equal(loyalty.took(before), 0, 'a subscription begins when it is registered')
  await eventually(async () => (await sql`select from orders.outbox`).length === 0, { timeoutMs: 40_000 })

  // The newer version is rolled back: only new rows for its queues wait.
  await canary.kill()
  const after = await old.commit('order.created', 20)
  await eventually(() => trail.took(after) === 20)
  const left = () => sql`select queue, count(*)::int as n from orders.outbox group by 1 order by 1`
  // A row is deleted shortly after its job has completed.
  await eventually(async () => (await left()).length === 1)
  t.same(await left(), [{ queue: 'loyalty', n: 20 }])
})
