import { setTimeout } from 'node:timers/promises'
import { pino } from 'pino'
import { createEventQueues } from '../src/platform/queue/event-queues.ts'

// A process that runs jobs and prints the id of each. It ends with its parent.
// Arguments: kind, URL, queue, lock in ms, stalled in ms, and the duration of a job in ms; without it, no job ever finishes.
const [kind = '', url = '', queue = '', lockMs = '', stalledMs = '', workMs] = process.argv.slice(2)
const queues = await createEventQueues({
  ...(kind === 'redis' ? { redisUrl: url } : { databaseUrl: url }),
  lockMs: Number(lockMs),
  stalledMs: Number(stalledMs),
  log: pino({ level: 'silent' }),
})
await queues.consume(
  queue,
  async ({ message }) => {
    process.stdout.write(`${message.id}\n`)
    await (workMs === undefined ? new Promise<void>(() => {}) : setTimeout(Number(workMs)))
  },
  { concurrency: 1 },
)
process.stdin.on('close', () => process.exit()).resume()
