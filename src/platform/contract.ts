import { type Static, type TSchema, Type } from 'typebox'
import type { CallContext } from './context.ts'
import type { ErrorTable } from './errors.ts'

/** One operation that a module offers to other modules. */
export interface Operation<I extends TSchema = TSchema, O extends TSchema = TSchema> {
  readonly input: I
  readonly output: O
  /** May be repeated after a lost answer. */
  readonly idempotent?: boolean
  /** Milliseconds; the caller's remaining deadline applies where it is shorter. */
  readonly timeoutMs: number
  /** Every process calls it, whatever it runs; any other operation is for the modules that name it among their dependencies. */
  readonly forEveryProcess?: boolean
}

/** Subscribes to all that any module publishes, also to what is added later. */
export const everyEvent = '*'

/** Of the event that has a dead letter of this module delivered again. */
export const replayEventOf = (module: string): string => `${module}.dead_letter_replayed`

/** `type`: of the event that is delivered again. */
export const DeadLetterReplayed = Type.Object({ event_id: Type.String({ format: 'uuid' }), type: Type.String() })
export type DeadLetterReplayed = Static<typeof DeadLetterReplayed>

type Operations = Record<string, Operation>
type Events = Record<string, TSchema>

export interface Contract<Ops extends Operations = Operations, E extends Events = Events, Err extends ErrorTable = ErrorTable> {
  readonly name: string
  /** On which the module listens where it runs alone. */
  readonly port: number
  /** Keeps no data: is given no database. */
  readonly stateless: boolean
  /** Its error codes: those that its routes and operations may return beside the platform's. */
  readonly errors: Err
  /** Under which its public routes are listed in the OpenAPI document. */
  readonly tags: readonly string[]
  /** Rules that a change falls under, by the type of the changed resource, as its events begin. */
  readonly complianceTags: Readonly<Record<string, readonly string[]>>
  /** Where the module's public routes live below /api/v1, e.g. '/orders'; the gateway routes by them. */
  readonly paths: readonly string[]
  readonly ops: Ops
  /** Bytes that the body of a public route may have, as in 'POST /orders', where that is more than `defaultBodyLimit`. */
  readonly bodyLimits: Readonly<Record<string, number>>
  /** What the module publishes: event type to the schema of its data. No personal data. */
  readonly events: E
  /** Event types of any module that this one consumes, or `everyEvent`; the relay derives the queues from it. */
  readonly subscribes: readonly string[]
  /** Of what it subscribes to, event types that wait behind no others: each in the queue of this name, which begins with the module's. */
  readonly apart: Readonly<Record<string, readonly string[]>>
}

/** The queues that a module takes its events from, with the types that each has. */
export const queuesOf = ({ name, subscribes, apart }: Contract): (readonly [queue: string, types: readonly string[]])[] => {
  const elsewhere = Object.values(apart).flat()
  const own = subscribes.filter((type) => !elsewhere.includes(type))
  return [...(own.length > 0 ? [[name, own] as const] : []), ...Object.entries(apart)]
}

/** The functions behind a contract: one type, whether they run in this process or behind HTTP. */
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

/** Names what a module calls of another one, in its dependencies.ts; it is given those functions and no others. */
export const use = <C extends Contract, const Op extends keyof C['ops'] & string>(
  contract: C,
  ...ops: readonly [Op, ...Op[]]
): Use<C, Op> => ({ contract, ops })

/**
 * Declares a module's face to the others as data: it is bound to functions or to HTTP elsewhere. A module that subscribes to
 * something also publishes and takes the event that has its dead letters delivered again.
 */
export const defineContract = <
  const Ops extends Operations = Record<never, never>,
  const E extends Events = Record<never, never>,
  const Err extends ErrorTable = Record<never, never>,
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
  tags?: readonly string[]
  complianceTags?: Readonly<Record<string, readonly string[]>>
  paths?: readonly string[]
  bodyLimits?: Readonly<Record<string, number>>
  ops?: Ops
  events?: E
  subscribes?: readonly string[]
  apart?: Readonly<Record<string, readonly string[]>>
}): Contract<Ops, E, Err> => {
  const replayed = subscribes.length > 0 ? replayEventOf(name) : undefined
  return {
    name,
    port,
    stateless,
    errors,
    tags,
    complianceTags,
    paths,
    // A hundred ids of events, in the longest form that JSON has for them.
    bodyLimits: replayed ? { ...bodyLimits, [`POST ${paths[0]}/dead-letters/replay`]: 32 * 1024 } : bodyLimits,
    ops,
    events: replayed ? { ...events, [replayed]: DeadLetterReplayed } : events,
    subscribes: replayed && !subscribes.includes(everyEvent) ? [...subscribes, replayed] : subscribes,
    apart,
  }
}
