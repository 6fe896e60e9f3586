import { pino } from 'pino'
import { createEventQueues } from '../../src/platform/queue.ts'

// A process that takes jobs and never finishes one; it prints the id of each. It ends with its parent.
// Arguments: kind, URL, queue, lock in ms, stalled in ms.
const [kind = '', url = '', queue = '', lockMs = '', stalledMs = ''] = process.argv.slice(2)
const queues = await createEventQueues({
  ...(kind === 'redis' ? { redisUrl: url } : { databaseUrl: url }),
  lockMs: Number(lockMs),
  stalledMs: Number(stalledMs),
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
process.stdin.on('close', () => process.exit()).resume()
