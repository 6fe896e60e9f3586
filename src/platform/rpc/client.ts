import type { Logger } from 'pino'
import { withTimeout } from '../concurrency/deadline.ts'
import type { CallContext } from '../context.ts'
import type { Api, Contract, Operation } from '../contract.ts'
import { Failure, fail, failureOf, kindOf } from '../errors.ts'
import { parse } from '../schema.ts'

/** Sends one validated call; rejects with a Failure of the other side, or with any other error if there is no response. */
export type Transport = (op: string, operation: Operation, input: unknown, context: CallContext) => Promise<unknown>

export interface ClientOptions<C extends Contract> {
  readonly contract: C
  /** The operations that the caller may call; default: all. */
  readonly ops?: readonly string[]
  readonly transport: Transport
  readonly log: Logger
  readonly caller?: string
}

/** Error for a module that does not respond, with its own code if it has one. */
export const unavailable = ({ name, errors }: Pick<Contract, 'name' | 'errors'>, cause?: unknown): Failure =>
  failureOf(errors, `${name}.unavailable`, {}, cause) ?? fail('upstream.unavailable', {}, cause)

/**
 * An error that the caller gets unchanged: a code of this module or the platform. Another module's would not survive the network.
 */
const isRefusal = (error: unknown, { errors }: Contract): boolean =>
  error instanceof Failure &&
  (error.status < 500 || error.code === 'auth.service_token_rejected') &&
  kindOf(errors, error.code) !== undefined

/** A value as it looks after a network call. */
const jsonRoundTrip = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))

/**
 * The functions of a contract over a transport. The rules of a call are only here, and so the same in one process and over the
 * network: the input fits its schema; the shorter of the operation's time and the caller's deadline applies; the called side
 * knows the caller; a 4xx, or a rejection of this service's own token, is passed on as the original Failure; any other error
 * becomes `<module>.unavailable`.
 */
export const createClient = <C extends Contract>({ contract, ops, transport, log, caller }: ClientOptions<C>): Api<C> => {
  const call = async (op: string, operation: Operation, input: unknown, context: CallContext) => {
    const parsed = parse(operation.input, jsonRoundTrip(input))
    const deadline = Math.min(context.deadline, Date.now() + operation.timeoutMs)
    const left = Math.max(0, deadline - Date.now())
    try {
      return await withTimeout(
        left,
        transport(op, operation, parsed, { ...context, deadline, caller }),
        () => new Error('deadline exceeded'),
      )
    } catch (error) {
      if (isRefusal(error, contract)) throw error
      log.warn({ err: error, call: `${contract.name}.${op}`, trace_id: context.traceparent.slice(3, 35) }, 'call failed')
      throw unavailable(contract, error)
    }
  }
  const names = ops ?? Object.keys(contract.ops)
  return Object.fromEntries(
    names.map((op) => [op, (input: unknown, context: CallContext) => call(op, contract.ops[op] as Operation, input, context)]),
  ) as Api<C>
}

/** A call within this process: the value is converted to JSON and back, so that nothing works here that would fail over HTTP. */
export const localTransport =
  (api: Api<Contract>): Transport =>
  async (op, _operation, input, context) =>
    jsonRoundTrip(await api[op]?.(input as never, context))
