import { createHmac, randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { type CallContext, serviceContext, traceIdOf } from '../context.ts'
import { Failure } from '../errors.ts'
import { newUuid } from '../ids.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { type Counted, createBursts, type Refusal } from './bursts.ts'
import { type AuditEntry, signEntry } from './entry.ts'

type Unsigned = Omit<AuditEntry, 'service' | 'key_id' | 'signature'>

export interface RefusalsOptions {
  /** Who refuses, and signs. */
  readonly service: string
  readonly keys: KeyStore
  readonly policyVersion: string
  /** Takes entries into the trail, or rejects; one that it has already does no harm. */
  readonly record: (input: { entries: AuditEntry[] }, context: CallContext) => Promise<unknown>
  readonly log: Logger
}

export interface Refusals {
  add(refusal: Refusal): void
  start(): void
  /** Writes what is left, for a few seconds at the most. */
  close(): Promise<void>
}

const refused: ReadonlySet<number> = new Set([401, 403, 429])
const flushMs = 250
const longestPauseMs = 5000
const batch = 500
/** Entries that wait for the audit service, at the most; beyond that refusals are only counted. */
const bufferSize = 5000
const dayMs = 86_400_000

/** One client of IPv6 has a /64 (RFC 6177); of it, only that is told apart. */
const network = (address: string): string => {
  if (!isIPv6(address) || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const known = tail === undefined ? groups : [...groups, ...Array<string>(8 - groups.length).fill('0')]
  return known.slice(0, 4).join(':')
}

/**
 * A client's address as a keyed hash. The key is this process's own, is kept nowhere and is another one each day, so that
 * an entry tells which refusals had one client, and never who it was.
 */
export const createPseudonyms = (now: () => number = Date.now): ((address: string) => string) => {
  let key = randomBytes(32)
  let day = Math.floor(now() / dayMs)
  return (address) => {
    const today = Math.floor(now() / dayMs)
    if (today !== day) key = randomBytes(32)
    day = today
    return createHmac('sha256', key).update(network(address)).digest('hex').slice(0, 16)
  }
}

const entryOf = ({ first, count, lastAt }: Counted, policyVersion: string): Unsigned => ({
  event_id: newUuid(),
  timestamp: new Date(lastAt).toISOString(),
  trace_id: traceIdOf(first.traceparent),
  span_id: first.traceparent.slice(36, 52),
  actor: { type: first.actor.type, id: first.actor.id },
  resource: { ...first.resource, version: null },
  action: first.action,
  decision: 'denied',
  policy_version: policyVersion,
  compliance_tags: ['access-control'],
  details: {
    code: first.code,
    status: first.status,
    count,
    first_at: new Date(first.at).toISOString(),
    last_at: new Date(lastAt).toISOString(),
    client: first.client,
  },
})

/**
 * Puts what this process refuses on the audit trail: signed, bursts counted, at most a quarter of a second after the
 * refusal, and for as long as the audit service is away kept here. A process that is killed loses that much: a refusal
 * changes nothing, so there is no row that it could commit with.
 */
export const createRefusals = ({ service, keys, policyVersion, record, log }: RefusalsOptions): Refusals => {
  const bursts = createBursts()
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
          // It has taken the others, and keeps these as dead letters.
          if (!(error instanceof Failure) || error.code !== 'audit.invalid_signature') throw error
          log.error({ err: error }, 'the audit service does not know the key that signs refusals')
        })
        waiting.splice(0, next.length)
      }
      if (failures > 0) log.info('refusals are on the audit trail again')
      failures = 0
    } catch (error) {
      if (failures === 0) log.warn({ err: error }, 'refusals wait: the audit service does not take them')
      notBefore = Date.now() + Math.min(flushMs * 2 ** failures++, longestPauseMs)
    }
  }

  const flush = () => {
    const now = Date.now()
    for (const sum of bursts.due(now, bufferSize - waiting.length)) keep(sum)
    if (sending || waiting.length === 0 || now < notBefore) return
    sending = send().finally(() => {
      sending = undefined
    })
  }

  let timer: NodeJS.Timeout | undefined
  return {
    add: (refusal) => {
      const alone = bursts.add(refusal, waiting.length < bufferSize)
      if (alone) keep(alone)
    },
    start: () => {
      timer = setInterval(flush, flushMs).unref()
    },
    close: async () => {
      clearInterval(timer)
      await sending
      for (const sum of bursts.due(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)) keep(sum)
      await send()
      if (waiting.length > 0) log.warn({ entries: waiting.length }, 'refusals are lost: the audit service did not take them')
    },
  }
}

/** An id as we give them. Anything else that a client writes in its place could be anything. */
const ourId = /^(\d{1,10}|[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12})$/

const refusalOf = (request: FastifyRequest, status: number, client: string): Refusal => {
  const route = request.routeOptions.url
  const [type = ''] = (route ?? '').replace(/^\/(api\/v\d+|internal)?\/?/, '').split('/')
  const [parameter = ''] = Object.values((request.params ?? {}) as Record<string, string>)
  const [id = ''] = parameter.split('/')
  return {
    at: Date.now(),
    actor: request.call.actor,
    client,
    action: `${request.method} ${route ?? '(unknown)'}`,
    resource: { type: type === '' || type === '*' ? '(unknown)' : type, id: ourId.test(id) ? id : null },
    code: request.failureCode ?? '',
    status,
    traceparent: request.call.traceparent,
  }
}

/** Every 401, 403 and 429 of the server that was decided here: one that a service behind it gave is that service's to tell. */
export const watchRefusals = (app: FastifyInstance, { add }: Pick<Refusals, 'add'>): void => {
  const pseudonym = createPseudonyms()
  app.addHook('onResponse', (request, reply, done) => {
    done()
    if (request.failureCode !== undefined && refused.has(reply.statusCode))
      add(refusalOf(request, reply.statusCode, pseudonym(request.ip)))
  })
}
