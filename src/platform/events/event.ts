import type { Actor, CallContext } from '../context.ts'
import { newUuid } from '../ids.ts'

/** The form of an event between a committed change and its consumers. Ids and facts of the change; no personal data. */
export interface EventEnvelope<Data = Record<string, unknown>> {
  /** uuid v7 (RFC 9562); also the job's id and the providers' idempotency key. */
  readonly id: string
  readonly type: string
  readonly aggregate_id: string
  /** Version of the aggregate after the change; grows by one each time. */
  readonly version: number
  readonly actor: Actor
  readonly traceparent: string
  /** The version of the policy that allowed the change. */
  readonly policy_version: string
  readonly occurred_at: string
  readonly data: Data
}

/** The part of an event that is known before its statement runs. */
export interface NewEvent {
  readonly id: string
  readonly type: string
  readonly actor: Actor
  readonly traceparent: string
  readonly policy_version: string
}

/** The actor, the trace, and the policy version of a change. */
export type EventContext = Pick<CallContext, 'actor' | 'traceparent' | 'policyVersion'>

export const newEvent = (type: string, context: EventContext): NewEvent => ({
  id: newUuid(),
  type,
  actor: context.actor,
  traceparent: context.traceparent,
  policy_version: context.policyVersion,
})
