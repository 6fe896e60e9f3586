import { trace } from '@opentelemetry/api'
import { newTraceparent, newUuid } from './ids.ts'
import type { Role } from './permission.ts'

/** Who acts: nobody known, a person's account, or a service on its own behalf. */
export interface Actor {
  readonly type: 'anonymous' | 'user' | 'service'
  readonly id: string | null
}

export const anonymous: Actor = { type: 'anonymous', id: null }

/** Travels with every call: until when (epoch milliseconds), on whose behalf, in which trace (W3C traceparent). */
export interface CallContext {
  readonly deadline: number
  readonly actor: Actor
  readonly traceparent: string
  readonly requestId: string
  /** Of the policy that this request was judged by. */
  readonly policyVersion: string
  /** The person's role; null for anybody else. */
  readonly role: Role | null
  /** The module that calls, proven where it calls over the network; undefined for a request from outside and with AUTH=off. */
  readonly caller?: string | undefined
  /** Whether the person has proven a moment ago who they are, as what is as good as a password asks for. */
  readonly reauthenticated?: boolean
  /** What the policy lets this call reach: everything, or only what belongs to the actor. */
  readonly scope: 'all' | 'own'
}

/**
 * The user whose rows a call may reach, or undefined where it may reach all: goes into the statement's WHERE. 0, which is
 * nobody's id, for whoever has no account here, as a person of an external issuer.
 */
export const ownerOf = ({ scope, actor }: Pick<CallContext, 'scope' | 'actor'>): number | undefined => {
  if (scope !== 'own') return undefined
  return actor.type === 'user' && /^[1-9]\d{0,14}$/.test(actor.id ?? '') ? Number(actor.id) : 0
}

const wellFormed = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/

export const traceIdOf = (traceparent: string): string => traceparent.slice(3, 35)

/** The active span's traceparent, else the given one where it is well formed, else a new one (W3C Trace Context, 2021). */
export const continueTrace = (incoming?: string): string => {
  const span = trace.getActiveSpan()?.spanContext()
  if (span) return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`
  const match = incoming === undefined ? null : wellFormed.exec(incoming)
  if (match && !/^0+$/.test(match[1] ?? '') && !/^0+$/.test(match[2] ?? '')) return incoming as string
  return newTraceparent()
}

/** Of what a service does on its own behalf, for so many milliseconds and in a trace of its own; no policy allowed it by default. */
export const serviceContext = (service: string, milliseconds: number, policyVersion = ''): CallContext => ({
  deadline: Date.now() + milliseconds,
  actor: { type: 'service', id: service },
  traceparent: newTraceparent(),
  requestId: newUuid(),
  policyVersion,
  role: null,
  scope: 'all',
})

/** For a request to another service. Inside a span OpenTelemetry's instrumentation adds its own, and two would be none. */
export const traceHeaders = (traceparent: string): { traceparent?: string } => (trace.getActiveSpan() ? {} : { traceparent })

/** What an event says of its change, as of a call: on whose behalf, in which trace, judged by which policy. */
export interface Cause {
  readonly id: string
  readonly actor: Actor
  readonly traceparent?: string | undefined
  readonly policy_version?: string | undefined
}

/** Of the work that an event causes, for so many milliseconds. */
export const eventContext = ({ id, actor, traceparent, policy_version }: Cause, milliseconds: number): CallContext => ({
  deadline: Date.now() + milliseconds,
  actor,
  traceparent: continueTrace(traceparent),
  requestId: id,
  policyVersion: policy_version ?? '',
  role: null,
  scope: 'all',
})
