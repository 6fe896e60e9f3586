import { trace } from '@opentelemetry/api'
import { newTraceparent, newUuid } from './ids.ts'
import type { Role } from './permission.ts'

/** The actor: unknown, a person's account, or a service on its own behalf. */
export interface Actor {
  readonly type: 'anonymous' | 'user' | 'service'
  readonly id: string | null
}

export const anonymous: Actor = { type: 'anonymous', id: null }

/** Travels with every call: the deadline (epoch milliseconds), the actor, the trace (W3C traceparent). */
export interface CallContext {
  readonly deadline: number
  readonly actor: Actor
  readonly traceparent: string
  readonly requestId: string
  /** The version of the policy that was applied to this request. */
  readonly policyVersion: string
  /** The person's role; null for any other actor. */
  readonly role: Role | null
  /** The calling module, proven if it calls over the network; undefined for a request from outside and with AUTH=off. */
  readonly caller?: string | undefined
  /** Whether the person has just passed step-up authentication, as sensitive changes require. */
  readonly reauthenticated?: boolean
  /** The data that the policy allows for this call: all, or only the actor's own. */
  readonly scope: 'all' | 'own'
}

/**
 * The user whose rows a call may access, or undefined for all: goes into the statement's WHERE. 0, which is nobody's id, for a
 * person without an account here, such as one of an external issuer.
 */
export const ownerOf = ({ scope, actor }: Pick<CallContext, 'scope' | 'actor'>): number | undefined => {
  if (scope !== 'own') return undefined
  return actor.type === 'user' && /^[1-9]\d{0,14}$/.test(actor.id ?? '') ? Number(actor.id) : 0
}

const wellFormed = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/

export const traceIdOf = (traceparent: string): string => traceparent.slice(3, 35)

/** The active span's traceparent, otherwise the given one if it is valid, otherwise a new one (W3C Trace Context, 2021). */
export const continueTrace = (incoming?: string): string => {
  const span = trace.getActiveSpan()?.spanContext()
  if (span) return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`
  const match = incoming === undefined ? null : wellFormed.exec(incoming)
  if (match && !/^0+$/.test(match[1] ?? '') && !/^0+$/.test(match[2] ?? '')) return incoming as string
  return newTraceparent()
}

/**
 * For work that a service does on its own behalf, with a time limit in milliseconds and its own trace; by default no policy
 * allowed it.
 */
export const serviceContext = (service: string, milliseconds: number, policyVersion = ''): CallContext => ({
  deadline: Date.now() + milliseconds,
  actor: { type: 'service', id: service },
  traceparent: newTraceparent(),
  requestId: newUuid(),
  policyVersion,
  role: null,
  scope: 'all',
})

/**
 * For a request to another service. Inside a span, OpenTelemetry's instrumentation adds its own header; two would invalidate
 * both.
 */
export const traceHeaders = (traceparent: string): { traceparent?: string } => (trace.getActiveSpan() ? {} : { traceparent })

/** The context of an event, taken from a call: actor, trace, policy version. */
export interface Cause {
  readonly id: string
  readonly actor: Actor
  readonly traceparent?: string | undefined
  readonly policy_version?: string | undefined
}

/** For the work that an event causes, with a time limit in milliseconds. */
export const eventContext = ({ id, actor, traceparent, policy_version }: Cause, milliseconds: number): CallContext => ({
  deadline: Date.now() + milliseconds,
  actor,
  traceparent: continueTrace(traceparent),
  requestId: id,
  policyVersion: policy_version ?? '',
  role: null,
  scope: 'all',
})
