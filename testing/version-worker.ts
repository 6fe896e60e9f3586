import { createInterface } from 'node:readline'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { Type } from 'typebox'
import { outbox } from '../src/modules/order/tables.ts'
import { createDatabase } from '../src/platform/db/database.ts'
import { newEvent } from '../src/platform/events/event.ts'
import { appendEvent, createOutboxRepository } from '../src/platform/events/outbox-repository.ts'
import { createRelay } from '../src/platform/events/relay.ts'
import { createEventQueues } from '../src/platform/queue/event-queues.ts'

// The event processing of one version of the order service: registers the subscribers of that version, commits the events
// of its input, and relays them. It ends with its parent.
// Arguments: database, URL of the transport, subscriptions as `type queue` in JSON. Input: an event's type and a number per line.
const [url = '', transport = '', subscriptions = '[]'] = process.argv.slice(2)
const log = pino({ level: 'silent' })
const known: { type: string; queue: string }[] = JSON.parse(subscriptions)
const db = createDatabase({ url, max: 5, statementTimeoutMs: 5000, applicationName: 'version' })
const repository = createOutboxRepository(db, outbox)
const queues = await createEventQueues({
  ...(transport.startsWith('redis') ? { redisUrl: transport } : { databaseUrl: transport }),
  log,
})
const relay = createRelay({
  outbox: repository,
  queues,
  known: [...new Set(known.map(({ queue }) => queue))],
  auditQueues: [],
  sign: () => {
    throw new Error('this process signs nothing')
  },
  log,
})
await repository.register(known)
relay.start()

const commit = async (type: string) => {
  const event = newEvent({ events: { [type]: Type.Object({}) } }, type, {
    actor: { type: 'anonymous', id: null },
    traceparent: '',
    policyVersion: '',
  })
  await db.write(sql`${appendEvent(outbox, event, sql`(select 1 as id, 1 as version)`)}`)
  process.stdout.write(`${event.id}\n`)
}
process.stdout.write('ready\n')
const lines = createInterface({ input: process.stdin })
lines.on('close', () => process.exit())
for await (const line of lines) {
  const [type = '', count = '0'] = line.split(' ')
  for (let n = 0; n < Number(count); n++) await commit(type)
  relay.wake()
}
