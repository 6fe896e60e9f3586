import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import {
  createEventQueues,
  type Delivery,
  type EventQueuesOptions,
  type QueueMessage,
} from '../../../../src/platform/queue/event-queues.ts'
import { eventually } from '../../../../testing/eventually.ts'
import { freePort } from '../../../../testing/port.ts'
import { startPostgres } from '../../../../testing/postgres.ts'
import { hasRedis, startRedis } from '../../../../testing/redis.ts'

// Two servers, outages and killed processes take longer than tap's default timeout.
t.setTimeout(120_000)

type Line = { level: number; msg: string }
const recorder = () => {
  const lines: Line[] = []
  return { lines, log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }) }
}

let serial = 0
const nextName = () => `orders-${++serial}`
const message = (payload: Record<string, unknown> = {}): QueueMessage => ({
  id: `0199c0de-0000-7000-8000-${String(++serial).padStart(12, '0')}`,
  payload,
})
const idsOf = (deliveries: readonly Delivery[]) => deliveries.map((delivery) => delivery.message.id)
const elapsed = async (work: () => Promise<unknown>) => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

type Where = Pick<EventQueuesOptions, 'redisUrl' | 'databaseUrl'>
const openIn = async (test: Test, where: Where, more: Partial<EventQueuesOptions> = {}) => {
  const { lines, log } = recorder()
  const queues = await createEventQueues({ ...where, log, backoffMs: 20, ...more })
  test.teardown(() => queues.close())
  return { queues, lines }
}

/** Consumes into a list; `work` determines the result of a delivery. */
const collect = async (
  queues: Awaited<ReturnType<typeof createEventQueues>>,
  queue: string,
  work: (delivery: Delivery) => Promise<void> = async () => {},
) => {
  const seen: Delivery[] = []
  const consumer = await queues.consume(
    queue,
    async (delivery) => {
      seen.push(delivery)
      await work(delivery)
    },
    { concurrency: 5 },
  )
  return { seen, consumer }
}

const until = (seen: readonly Delivery[], count: number, timeoutMs = 15_000) =>
  eventually(() => seen.length >= count, { timeoutMs })

const guarantees = (kind: 'redis' | 'postgres', where: () => Where) => async (t: Test) => {
  t.test('delivers each message once, with its payload', async (t) => {
    const { queues } = await openIn(t, where())
    const queue = nextName()
    const messages = Array.from({ length: 1_200 }, (_, n) => message({ n, text: 'Grüße, 世界' }))
    const { seen } = await collect(queues, queue)
    await queues.publish(queue, messages)
    await eventually(
      async () => {
        const { waiting, active, delayed } = await queues.counts(queue)
        return seen.length >= messages.length && waiting + active + delayed === 0
      },
      { timeoutMs: 30_000 },
    )
    t.same(idsOf(seen).sort(), messages.map(({ id }) => id).sort())
    t.same(seen.find((delivery) => delivery.message.id === messages[7]?.id)?.message, messages[7])
    t.ok(seen.every(({ attempt, lastAttempt }) => attempt === 1 && !lastAttempt))
    t.equal(queues.backend, kind)
  })

  t.test('wakes an idle consumer at once', async (t) => {
    const { queues } = await openIn(t, where())
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    for (const count of [1, 2, 3]) {
      await queues.publish(queue, [message()])
      const ms = await elapsed(() => until(seen, count))
      // Without a wake-up it would poll after two seconds.
      if (count > 1) t.ok(ms < 1_000, `${Math.round(ms)} ms`)
    }
  })

  t.test('adds a message with the same id only once', async (t) => {
    const { queues } = await openIn(t, where())
    const queue = nextName()
    const [first, second] = [message({ n: 1 }), message({ n: 2 })]
    await queues.publish(queue, [first, first])
    await queues.publish(queue, [first, second])
    t.equal((await queues.counts(queue)).waiting, 2)
    const { seen } = await collect(queues, queue)
    await eventually(async () => (await queues.states(queue, [first.id])).get(first.id) === 'completed')
    await queues.publish(queue, [first])
    t.equal((await queues.states(queue, [first.id])).get(first.id), 'completed')
    await queues.publish(queue, [message({ n: 3 })])
    await until(seen, 3)
    t.same(
      seen.map(({ message }) => message.payload.n),
      [1, 2, 3],
    )
  })

  t.test('retries with growing pauses and marks the last attempt', async (t) => {
    const { queues } = await openIn(t, where(), { attempts: 3, backoffMs: 200 })
    const queue = nextName()
    const times: number[] = []
    const { seen } = await collect(queues, queue, async () => {
      times.push(performance.now())
      throw new Error('no')
    })
    const one = message()
    await queues.publish(queue, [one])
    await eventually(async () => (await queues.counts(queue)).delayed === 1)
    t.equal((await queues.states(queue, [one.id])).get(one.id), 'pending', 'a delayed job is pending')
    await eventually(async () => (await queues.states(queue, [one.id])).get(one.id) === 'failed')
    t.same(
      seen.map(({ attempt, lastAttempt }) => [attempt, lastAttempt]),
      [
        [1, false],
        [2, false],
        [3, true],
      ],
    )
    const [first = 0, second = 0, third = 0] = times
    t.ok(second - first >= 95, `${second - first} ms`)
    t.ok(third - second >= 195, `${third - second} ms`)
    t.ok(third - first < 2_500, `${third - first} ms`)
    t.equal((await queues.counts(queue)).failed, 1)
  })

  t.test('knows the state of each message', async (t) => {
    const { queues } = await openIn(t, where(), { attempts: 1 })
    const queue = nextName()
    const [good, bad, waiting, never] = [message({ bad: false }), message({ bad: true }), message(), message()]
    await queues.publish(queue, [good, bad])
    const { consumer } = await collect(queues, queue, async ({ message }) => {
      if (message.payload.bad) throw new Error('no')
    })
    const ids = [good, bad, waiting, never].map(({ id }) => id)
    await eventually(async () => {
      const states = await queues.states(queue, ids)
      return states.get(good.id) === 'completed' && states.get(bad.id) === 'failed'
    })
    await consumer.close()
    await queues.publish(queue, [waiting])
    t.same([...(await queues.states(queue, ids)).values()], ['completed', 'failed', 'pending', 'missing'])
    t.equal((await queues.states(queue, [])).size, 0)
  })

  t.test('retries only failed messages on request', async (t) => {
    const { queues } = await openIn(t, where(), { attempts: 1 })
    const queue = nextName()
    const [good, bad] = [message(), message()]
    let healed = false
    const { seen } = await collect(queues, queue, async ({ message }) => {
      if (message.id === bad.id && !healed) throw new Error('no')
    })
    await queues.publish(queue, [good, bad])
    await eventually(async () => (await queues.states(queue, [bad.id])).get(bad.id) === 'failed')
    healed = true
    await queues.retryFailed(queue, [good.id, bad.id, message().id])
    await eventually(async () => [...(await queues.states(queue, [good.id, bad.id])).values()].every((s) => s === 'completed'))
    t.same(idsOf(seen).sort(), [good.id, bad.id, bad.id])
    t.same(seen.at(-1)?.attempt, 1)
  })

  t.test('redelivers a message only if its job has ended', async (t) => {
    const { queues } = await openIn(t, where(), { attempts: 1 })
    const queue = nextName()
    const [good, bad, fresh] = [message({ v: 1 }), message({ v: 1, bad: true }), message({ v: 1 })]
    await queues.publish(queue, [fresh])
    await queues.redeliver(queue, { ...fresh, payload: { v: 2 } })
    t.equal((await queues.counts(queue)).waiting, 1)
    const { seen } = await collect(queues, queue, async ({ message }) => {
      if (message.payload.bad) throw new Error('no')
    })
    await queues.publish(queue, [good, bad])
    const stateOf = async (id: string) => (await queues.states(queue, [id])).get(id)
    await eventually(async () => (await stateOf(good.id)) === 'completed' && (await stateOf(bad.id)) === 'failed')
    for (const { id } of [good, bad]) await queues.redeliver(queue, { id, payload: { v: 2 } })
    await eventually(async () => (await stateOf(good.id)) === 'completed' && (await stateOf(bad.id)) === 'completed')
    const versions = (id: string) => seen.filter(({ message }) => message.id === id).map(({ message }) => message.payload.v)
    t.same([versions(fresh.id), versions(good.id), versions(bad.id)], [[1], [1, 2], [1, 2]])
  })

  t.test('reports completed messages in batches', async (t) => {
    const { queues } = await openIn(t, where())
    const queue = nextName()
    const batches: string[][] = []
    const early = message()
    await collect(queues, queue)
    await queues.publish(queue, [early])
    await eventually(async () => (await queues.states(queue, [early.id])).get(early.id) === 'completed')
    const stop = await queues.onCompleted(queue, (ids) => void batches.push(ids))
    const messages = Array.from({ length: 200 }, () => message())
    await queues.publish(queue, messages)
    const completed = () => new Set(batches.flat())
    await eventually(() => [early, ...messages].every(({ id }) => completed().has(id)))
    t.ok(batches.length < completed().size / 2, `${batches.length} calls for ${completed().size} ids`)
    await stop()
    const last = message()
    await queues.publish(queue, [last])
    await eventually(async () => (await queues.states(queue, [last.id])).get(last.id) === 'completed')
    t.notOk(completed().has(last.id))
  })

  t.test('gives the message of a killed process to another', async (t) => {
    const times = { lockMs: 1_000, stalledMs: 1_000 }
    const { queues } = await openIn(t, where(), { ...times, attempts: 1 })
    const queue = nextName()
    const script = fileURLToPath(new URL('../../../../testing/queue-worker.ts', import.meta.url))
    const { redisUrl, databaseUrl } = where()
    const worker = spawn(process.execPath, [script, kind, redisUrl ?? databaseUrl ?? '', queue, '1000', '1000'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    t.teardown(() => worker.kill('SIGKILL'))
    const one = message()
    await queues.publish(queue, [one])
    const [printed] = await once(worker.stdout, 'data')
    t.equal(String(printed).trim(), one.id)
    const { seen } = await collect(queues, queue)
    worker.kill('SIGKILL')
    const ms = await elapsed(() => until(seen, 1))
    t.same(
      seen.map(({ message, attempt }) => [message.id, attempt]),
      [[one.id, 1]],
    )
    t.ok(ms < times.lockMs + times.stalledMs + 500, `${Math.round(ms)} ms`)
  })

  t.test('waits for running handlers when it closes', async (t) => {
    const { queues } = await openIn(t, where())
    const queue = nextName()
    const { promise: finish, resolve } = Promise.withResolvers<void>()
    const { seen, consumer } = await collect(queues, queue, () => finish)
    const one = message()
    await queues.publish(queue, [one])
    await until(seen, 1)
    const closed = consumer.close()
    resolve()
    await closed
    t.equal((await queues.states(queue, [one.id])).get(one.id), 'completed')
  })
}

t.test('redis', { skip: !hasRedis() && 'redis-server is not installed' }, async (t) => {
  const shared = await startRedis()
  t.teardown(() => shared.stop())
  const where = { redisUrl: shared.url }
  await t.test(
    'guarantees',
    guarantees('redis', () => where),
  )

  const own = async (t: Test, args: readonly string[] = []) => {
    const redis = await startRedis({ args })
    t.teardown(() => redis.stop())
    return redis
  }
  const levelsOf = (lines: readonly Line[]) => lines.map(({ level, msg }) => `${level} ${msg}`)

  t.test('delivers messages again after FLUSHALL', async (t) => {
    const redis = await own(t)
    const { queues } = await openIn(t, { redisUrl: redis.url })
    const client = new Redis(redis.url)
    t.teardown(() => client.disconnect())
    const queue = nextName()
    const { promise: flushed, resolve } = Promise.withResolvers<void>()
    const held = message({ held: true })
    const messages = [held, ...Array.from({ length: 20 }, () => message())]
    const { seen } = await collect(queues, queue, ({ message }) => (message.payload.held ? flushed : Promise.resolve()))
    for (const round of [1, 2, 3]) {
      await queues.publish(queue, messages)
      await until(seen, 21 * round)
      await client.flushall()
      t.same(
        [
          ...new Set(
            (
              await queues.states(
                queue,
                messages.map(({ id }) => id),
              )
            ).values(),
          ),
        ],
        ['missing'],
      )
      resolve()
    }
    await queues.publish(queue, messages)
    await eventually(async () =>
      [
        ...(
          await queues.states(
            queue,
            messages.map(({ id }) => id),
          )
        ).values(),
      ].every((s) => s === 'completed'),
    )
    t.equal(seen.length, 21 * 4)
  })

  t.test('continues after Redis was killed and restarted, and fails fast meanwhile', async (t) => {
    const redis = await own(t)
    const { queues, lines } = await openIn(t, { redisUrl: redis.url })
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    const completed = new Set<string>()
    await queues.onCompleted(queue, (ids) => ids.forEach((id) => void completed.add(id)))
    const first = message()
    await queues.publish(queue, [first])
    // A job that Redis loses before its end is logged; see redis-away.test.ts.
    await eventually(() => completed.has(first.id))
    await redis.kill()
    const down = performance.now()
    const missed = message()
    for (let tries = 0; tries < 20; tries++) {
      const ms = await elapsed(() => t.rejects(queues.publish(queue, [missed])))
      t.ok(ms < 1_000, `${Math.round(ms)} ms`)
    }
    await t.rejects(queues.states(queue, [missed.id]))
    // Long enough for the reconnect delay to reach its maximum.
    await eventually(
      async () => {
        await t.rejects(queues.publish(queue, [missed]))
        return performance.now() - down > 3_300
      },
      { everyMs: 100 },
    )
    await redis.restart()
    const ms = await elapsed(async () => {
      await eventually(() => queues.publish(queue, [missed]).then(() => true), { everyMs: 50 })
      await until(seen, 2)
    })
    t.ok(ms < 2_500, `${Math.round(ms)} ms`)
    await eventually(() => completed.has(missed.id))
    t.same(levelsOf(lines), ['40 queue: redis is down', '30 queue: redis is up'])
  })

  t.test('starts before Redis does', async (t) => {
    const port = await freePort()
    const { queues, lines } = await openIn(t, { redisUrl: `redis://127.0.0.1:${port}` })
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    const one = message()
    await t.rejects(queues.publish(queue, [one]))
    const redis = await startRedis({ port })
    t.teardown(() => redis.stop())
    await eventually(() => queues.publish(queue, [one]).then(() => true))
    await until(seen, 1, 4_000)
    t.same(levelsOf(lines), ['40 queue: redis is down', '30 queue: redis is up'])
  })

  t.test('fails fast while Redis hangs, and continues afterwards', async (t) => {
    const redis = await own(t)
    const { queues } = await openIn(t, { redisUrl: redis.url })
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    await queues.publish(queue, [message()])
    await until(seen, 1)
    redis.pause()
    const one = message()
    const ms = await elapsed(() => t.rejects(queues.publish(queue, [one])))
    t.ok(ms < 1_500, `${Math.round(ms)} ms`)
    redis.resume()
    await eventually(() => queues.publish(queue, [one]).then(() => true))
    await eventually(() => idsOf(seen).includes(one.id))
  })

  t.test('closes while Redis is down', async (t) => {
    const redis = await own(t)
    const { queues } = await openIn(t, { redisUrl: redis.url })
    const never = await openIn(t, { redisUrl: `redis://127.0.0.1:${await freePort()}` })
    for (const one of [queues, never.queues]) {
      await collect(one, nextName())
      await one.onCompleted(nextName(), () => {})
    }
    await redis.kill()
    await eventually(async () => t.rejects(queues.publish(nextName(), [message()])))
    t.ok((await elapsed(() => queues.close())) < 4_000)
    t.ok((await elapsed(() => never.queues.close())) < 4_000)
  })

  t.test('refuses a Redis that may evict keys', async (t) => {
    const redis = await own(t, ['--maxmemory-policy', 'allkeys-lru'])
    await t.rejects(createEventQueues({ redisUrl: redis.url, log: recorder().log }), {
      message: 'Redis may evict queued events: its maxmemory-policy is allkeys-lru and must be noeviction',
    })
  })

  t.test('logs an error if a Redis that starts later may evict keys', async (t) => {
    const port = await freePort()
    const { lines } = await openIn(t, { redisUrl: `redis://127.0.0.1:${port}` })
    const redis = await startRedis({ port, args: ['--maxmemory-policy', 'allkeys-lru'] })
    t.teardown(() => redis.stop())
    await eventually(() => lines.some(({ level, msg }) => level === 50 && msg.includes('allkeys-lru')))
  })
})

t.test('postgres', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('shared')
  await t.test(
    'guarantees',
    guarantees('postgres', () => ({ databaseUrl: url })),
  )

  t.test('can start several times concurrently on an empty database', async (t) => {
    const databaseUrl = await server.createDatabase('fresh')
    const opened = await Promise.all([1, 2, 3].map(() => openIn(t, { databaseUrl })))
    const queue = nextName()
    for (const [n, { queues }] of opened.entries()) {
      const { seen } = await collect(queues, `${queue}-${n}`)
      await opened[(n + 1) % 3]?.queues.publish(`${queue}-${n}`, [message()])
      await until(seen, 1)
    }
    const client = new pg.Client(databaseUrl)
    await client.connect()
    t.teardown(() => client.end())
    const { rows } = await client.query("select distinct table_schema from information_schema.tables where table_name = 'job'")
    t.same(rows, [{ table_schema: 'bullmq' }])
  })

  t.test('continues after all its connections were terminated, with few log lines', async (t) => {
    const databaseUrl = await server.createDatabase('cut')
    const { queues, lines } = await openIn(t, { databaseUrl })
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    const completed = new Set<string>()
    await queues.onCompleted(queue, (ids) => ids.forEach((id) => void completed.add(id)))
    await queues.publish(queue, [message()])
    await until(seen, 1)
    const client = new pg.Client(databaseUrl)
    await client.connect()
    t.teardown(() => client.end())
    for (const round of [1, 2]) {
      await client.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
      const one = message({ round })
      await eventually(() => queues.publish(queue, [one]).then(() => true))
      await eventually(() => idsOf(seen).includes(one.id), { timeoutMs: 3_000 })
      await eventually(() => completed.has(one.id))
    }
    t.ok(lines.length <= 4, JSON.stringify(lines))
  })

  t.test('uses few connections', async (t) => {
    const databaseUrl = await server.createDatabase('few')
    const { queues } = await openIn(t, { databaseUrl })
    const queue = nextName()
    const { seen } = await collect(queues, queue)
    await queues.onCompleted(queue, () => {})
    await queues.publish(
      queue,
      Array.from({ length: 300 }, () => message()),
    )
    await until(seen, 300)
    const client = new pg.Client(databaseUrl)
    await client.connect()
    t.teardown(() => client.end())
    const { rows } = await client.query(
      'select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    )
    t.ok(rows[0].n <= 8, `${rows[0].n} connections`)
  })
})
