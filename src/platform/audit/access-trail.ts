import type { Logger } from 'pino'
import { backoffAfter } from '../concurrency/retry.ts'
import { type CallContext, serviceContext, traceIdOf } from '../context.ts'
import { Failure } from '../errors.ts'
import { newUuid } from '../ids.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { type Access, type Counted, createDenialAggregator } from './denial-aggregator.ts'
import { type AuditEntry, signEntry } from './entry.ts'

type Unsigned = Omit<AuditEntry, 'service' | 'key_id' | 'signature'>

export interface AccessTrailOptions {
  /** The service that denies or shows data, and signs. */
  readonly service: string
  readonly keys: KeyStore
  readonly policyVersion: string
  /** Records entries on the trail, or rejects. Idempotent. */
  readonly record: (input: { entries: AuditEntry[] }, context: CallContext) => Promise<unknown>
  /** Codes with which the trail keeps the refused entries as dead letters and records the others: a retry changes nothing. */
  readonly finalCodes: readonly string[]
  readonly log: Logger
}

export interface AccessTrail {
  add(access: Access): void
  start(): void
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>
}

const flushMs = 250
const pauses = { backoffMs: flushMs, longestBackoffMs: 5000 }
const batch = 500
/** Maximum entries that wait for the audit service; beyond that, accesses are only counted. */
const bufferSize = 5000

const entryOf = ({ first, count, lastAt }: Counted, policyVersion: string): Unsigned => ({
  event_id: newUuid(),
  timestamp: new Date(lastAt).toISOString(),
  trace_id: traceIdOf(first.traceparent),
  span_id: first.traceparent.slice(36, 52),
  actor: { type: first.actor.type, id: first.actor.id },
  resource: { ...first.resource, version: null },
  action: first.action,
  decision: first.decision,
  policy_version: policyVersion,
  compliance_tags: [first.decision === 'denied' ? 'access-control' : 'personal-data'],
  details: {
    ...first.facts,
    count,
    first_at: new Date(first.at).toISOString(),
    last_at: new Date(lastAt).toISOString(),
    client: first.client,
    ...(first.subjects.length > 0 ? { subjects: [...first.subjects] } : {}),
  },
})

/**
 * Records this process's denials, and whose data it shows to others, on the audit trail: signed, bursts aggregated, at most a
 * quarter of a second later. While the audit service is down, entries are buffered here. A killed process loses that much: such a
 * request changes nothing, so there is no row that its entry could commit with.
 */
export const createAccessTrail = ({ service, keys, policyVersion, record, finalCodes, log }: AccessTrailOptions): AccessTrail => {
  const denialAggregator = createDenialAggregator()
  const waiting: Unsigned[] = []
  let sending: Promise<void> | undefined
  let failures = 0
  let notBefore = 0

  const keep = (counted: Counted) => waiting.push(entryOf(counted, policyVersion))

  const send = async () => {
    try {
      while (waiting.length > 0) {
        const next = waiting.slice(0, batch)
        await record(
          { entries: next.map((entry) => signEntry(keys, service, entry)) },
          serviceContext(service, 2000, policyVersion),
        ).catch((error) => {
          if (!(error instanceof Failure && finalCodes.includes(error.code))) throw error
          log.error({ err: error, entries: next.length }, 'the audit service rejected entries signed by this service')
        })
        waiting.splice(0, next.length)
      }
      if (failures > 0) log.info('denials are recorded on the audit trail again')
      failures = 0
    } catch (error) {
      if (failures === 0) log.warn({ err: error }, 'the audit service does not accept denials; buffering them')
      failures += 1
      notBefore = Date.now() + backoffAfter(failures, pauses)
    }
  }

  const flush = () => {
    const now = Date.now()
    for (const sum of denialAggregator.due(now, bufferSize - waiting.length)) keep(sum)
    if (sending || waiting.length === 0 || now < notBefore) return
    sending = send().finally(() => {
      sending = undefined
    })
  }

  let timer: NodeJS.Timeout | undefined
  return {
    add: (access) => {
      const alone = denialAggregator.add(access, waiting.length < bufferSize)
      if (alone) keep(alone)
    },
    start: () => {
      timer = setInterval(flush, flushMs).unref()
    },
    close: async () => {
      clearInterval(timer)
      await sending
      for (const sum of denialAggregator.due(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)) keep(sum)
      await send()
      if (waiting.length > 0) log.warn({ entries: waiting.length }, 'denials are lost: the audit service did not accept them')
    },
  }
}
