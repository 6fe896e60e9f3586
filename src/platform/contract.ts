import { type Static, type TSchema, Type } from 'typebox'
import type { CallContext } from './context.ts'
import type { ErrorTable } from './errors.ts'

/** One operation that a module offers to other modules. */
export interface Operation<I extends TSchema = TSchema, O extends TSchema = TSchema> {
  readonly input: I
  readonly output: O
  /** Safe to repeat after a lost response. */
  readonly idempotent?: boolean
  /** Milliseconds; the caller's remaining deadline applies if it is shorter. */
  readonly timeoutMs: number
  /** Every process calls it; other operations are only for the modules that name it among their dependencies. */
  readonly forEveryProcess?: boolean
}

/** Subscribes to everything that any module publishes, including future events. */
export const everyEvent = '*'

/** The event that replays a dead letter of this module. */
export const replayEventOf = (module: string): ReplayEvent => `${module}.dead_letter_replayed`
type ReplayEvent = `${string}.dead_letter_replayed`

/** `type`: of the replayed event. */
export const DeadLetterReplayed = Type.Object({ event_id: Type.String({ format: 'uuid' }), type: Type.String() })
export type DeadLetterReplayed = Static<typeof DeadLetterReplayed>

type Operations = Record<string, Operation>
type Events = Record<string, TSchema>

export interface Contract<
  Ops extends Operations = Operations,
  E extends Events = Events,
  Err extends ErrorTable = ErrorTable,
  S extends string = string,
  T extends string = string,
> {
  readonly name: string
  /** The port of the module as a separate service. */
  readonly port: number
  /** Stores no data and gets no database. */
  readonly stateless: boolean
  /** Its error codes: those that its routes and operations may return in addition to the platform's. */
  readonly errors: Err
  /** The tags of its public routes in the OpenAPI document. */
  readonly tags: readonly T[]
  /** Regulations that apply to a change, by the type of the changed resource (the first part of its event types). */
  readonly complianceTags: Readonly<Record<string, readonly string[]>>
  /** Paths of the module's public routes below /api/v1, such as '/orders'; the gateway routes by them. */
  readonly paths: readonly string[]
  readonly ops: Ops
  /** Maximum body size in bytes of a public route, such as 'POST /orders', if more than `defaultBodyLimit`. */
  readonly bodyLimits: Readonly<Record<string, number>>
  /** The events that the module publishes: event type to the schema of its data. No personal data. */
  readonly events: E
  /** Event types of any module that this one consumes, or `everyEvent`; the relay derives the queues from it. */
  readonly subscribes: readonly (S | ReplayEvent)[]
  /** Event types with their own queue, so that they do not wait behind others: queue name (begins with the module's) to types. */
  readonly apart: Readonly<Record<string, readonly string[]>>
}

/** A contract's events, or one of them. */
export interface Publisher {
  readonly events: Events
}

/** Types of events that modules with these contracts publish. */
export type PublishedBy<P extends Publisher> = P extends Publisher ? keyof P['events'] & string : never

/** The data of an event, by its contract. */
export type EventData<P extends Publisher, T extends string> = P extends Publisher
  ? T extends keyof P['events']
    ? Static<P['events'][T]>
    : never
  : never

/** Types of events that a module handles itself. */
export type SubscribedBy<C extends Contract> = Exclude<C['subscribes'][number], ReplayEvent>

/** The queues that a module consumes, with the event types of each. */
export const queuesOf = ({ name, subscribes, apart }: Contract): (readonly [queue: string, types: readonly string[]])[] => {
  const elsewhere = Object.values(apart).flat()
  const own = subscribes.filter((type) => !elsewhere.includes(type))
  return [...(own.length > 0 ? [[name, own] as const] : []), ...Object.entries(apart)]
}

/** The functions of a contract: one type, whether they run in this process or behind HTTP. */
export type Api<C extends Contract> = {
  readonly [K in keyof C['ops']]: (
    input: Static<C['ops'][K]['input']>,
    context: CallContext,
  ) => Promise<Static<C['ops'][K]['output']>>
}

/** Operations of another module that a module calls. */
export interface Use<C extends Contract = Contract, Op extends keyof C['ops'] & string = string> {
  readonly contract: C
  readonly ops: readonly Op[]
}
export type Uses = Readonly<Record<string, Use>>

/** The functions of those operations. */
export type Client<U> = U extends Use<infer C, infer Op> ? Pick<Api<C>, Op & keyof Api<C>> : never

/** Names the operations of another module that a module calls, in its dependencies.ts; it gets only those functions. */
export const use = <C extends Contract, const Op extends keyof C['ops'] & string>(
  contract: C,
  ...ops: readonly [Op, ...Op[]]
): Use<C, Op> => ({ contract, ops })

/**
 * Declares a module's interface as data; the composition root binds it to functions or to HTTP. A module that subscribes to
 * events also publishes and consumes the event that replays its dead letters.
 */
export const defineContract = <
  const Ops extends Operations = Record<never, never>,
  const E extends Events = Record<never, never>,
  const Err extends ErrorTable = Record<never, never>,
  const S extends string = never,
  const T extends string = never,
>({
  name,
  port,
  stateless = false,
  errors = {} as Err,
  tags = [],
  complianceTags = {},
  paths = [],
  bodyLimits = {},
  ops = {} as Ops,
  events = {} as E,
  subscribes = [],
  apart = {},
}: {
  name: string
  port: number
  stateless?: boolean
  errors?: Err
  tags?: readonly T[]
  complianceTags?: Readonly<Record<string, readonly string[]>>
  paths?: readonly string[]
  bodyLimits?: Readonly<Record<string, number>>
  ops?: Ops
  events?: E
  subscribes?: readonly S[]
  apart?: Readonly<Record<string, readonly NoInfer<S>[]>>
}): Contract<Ops, E, Err, S, T> => {
  const types: readonly string[] = subscribes
  const replayed = subscribes.length > 0 ? replayEventOf(name) : undefined
  return {
    name,
    port,
    stateless,
    errors,
    tags,
    complianceTags,
    paths,
    // A hundred event ids in the longest JSON form.
    bodyLimits: replayed ? { ...bodyLimits, [`POST ${paths[0]}/dead-letters/replay`]: 32 * 1024 } : bodyLimits,
    ops,
    events: replayed ? { ...events, [replayed]: DeadLetterReplayed } : events,
    subscribes: replayed && !types.includes(everyEvent) ? [...subscribes, replayed] : subscribes,
    apart,
  }
}
