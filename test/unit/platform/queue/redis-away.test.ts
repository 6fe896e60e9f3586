import { pino } from 'pino'
import t from 'tap'
import { createEventQueues } from '../../../../src/platform/queue/event-queues.ts'
import { eventually } from '../../../../testing/eventually.ts'
import { freePort } from '../../../../testing/port.ts'
import { hasRedis, startRedis } from '../../../../testing/redis.ts'

const skip = !hasRedis() && 'redis-server is not installed'
const message = { id: '0199c0de-0000-7000-8000-000000000001', payload: {} }

t.test('queues that wait for Redis print no warning', { skip }, async (t) => {
  const warnings: string[] = []
  const listener = ({ message }: Error) => void warnings.push(message)
  process.on('warning', listener)
  t.teardown(() => process.off('warning', listener))
  const port = await freePort()
  const queues = await createEventQueues({ redisUrl: `redis://127.0.0.1:${port}`, log: pino({ level: 'silent' }) })
  t.teardown(() => queues.close())
  const names = ['one', 'two', 'three']
  let handled = 0
  for (const queue of names) {
    await queues.consume(queue, async () => void handled++, { concurrency: 1 })
    await queues.onCompleted(queue, () => {})
  }
  const redis = await startRedis({ port })
  t.teardown(() => redis.stop())
  for (const queue of names) await eventually(() => queues.publish(queue, [message]).then(() => true))
  await eventually(() => handled === names.length)
  t.same(warnings, [])
})

t.test('a job that ends after Redis has lost it is logged', { skip }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  const queues = await createEventQueues({ redisUrl: redis.url, log })
  t.teardown(() => queues.close())
  const { promise: finish, resolve } = Promise.withResolvers<void>()
  let started = false
  const handler = () => {
    started = true
    return finish
  }
  await queues.consume('orders', handler, { concurrency: 1 })
  await queues.publish('orders', [message])
  await eventually(() => started)
  await redis.kill()
  resolve()
  await redis.restart()
  await eventually(() => lines.length === 3)
  t.same(lines, ['queue: redis is down', 'queue: redis is up', `queue: Missing key for job ${message.id}. moveToFinished`])
})
