import type { Actor, CallContext } from '../context.ts'
import type { EventData, PublishedBy, Publisher } from '../contract.ts'
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

declare const fromSql: unique symbol

/** The part of an event that is known before its statement runs. `FromSql` are the members of its data that the statement adds. */
export interface NewEvent<Type extends string = string, FromSql extends object = object> {
  readonly id: string
  readonly type: Type
  readonly actor: Actor
  readonly traceparent: string
  readonly policy_version: string
  readonly data: object
  /** Only for the type checker. A function type, so that the members must match exactly. */
  readonly [fromSql]?: (members: FromSql) => FromSql
}

/** An event of a contract. `FromSql` names the members of its data that its statement adds; the others come with it. */
export type EventOf<P extends Publisher, T extends PublishedBy<P>, FromSql extends keyof EventData<P, T> = never> = NewEvent<
  T,
  Pick<EventData<P, T>, FromSql>
>

type RequiredKey<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? never : K }[keyof T]

/** The actor, the trace, and the policy version of a change. */
export type EventContext = Pick<CallContext, 'actor' | 'traceparent' | 'policyVersion'>

/** An event of this contract with the known part of its data; the statement must add the rest. */
export const newEvent = <P extends Publisher, T extends PublishedBy<P>, Given extends keyof EventData<P, T> = never>(
  _publisher: P,
  type: T,
  context: EventContext,
  data?: Pick<EventData<P, T>, Given>,
): EventOf<P, T, Exclude<RequiredKey<EventData<P, T>>, Given>> => ({
  id: newUuid(),
  type,
  actor: context.actor,
  traceparent: context.traceparent,
  policy_version: context.policyVersion,
  data: data ?? {},
})
