import { pino } from 'pino'
import { createEventQueues } from '../../src/platform/queue.ts'

// A process that takes jobs and never finishes one; it prints the id of each. Arguments: kind, URL, queue, lock in ms.
const [kind = '', url = '', queue = '', lockMs = ''] = process.argv.slice(2)
const queues = await createEventQueues({
  ...(kind === 'redis' ? { redisUrl: url } : { databaseUrl: url }),
  lockMs: Number(lockMs),
  log: pino({ level: 'silent' }),
})
await queues.consume(
  queue,
  ({ message }) => {
    process.stdout.write(`${message.id}\n`)
    return new Promise<void>(() => {})
  },
  { concurrency: 1 },
)
