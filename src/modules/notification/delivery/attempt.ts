import { BrokenCircuitError } from 'cockatiel'
import type { Logger } from 'pino'
import { type CallContext, eventContext } from '../../../platform/context.ts'
import type { Api } from '../../../platform/contract.ts'
import { safeMessage } from '../../../platform/observability/redact.ts'
import type { User, userContract } from '../../user/contract.ts'
import type { Channel } from '../contract.ts'
import { ifFound } from '../if-found.ts'
import { type OrderFacts, orderMessage } from '../order-message.ts'
import { attemptMs, ProviderError, type Providers } from '../providers.ts'
import type { Breaker } from './breaker.ts'
import { type ClaimedNotification, claimMs, type DeliveryRepository, type Outcome } from './repository.ts'

export interface AttemptOptions {
  readonly repository: Pick<DeliveryRepository, 'finish'>
  readonly users: Pick<Api<typeof userContract>, 'getUser'>
  readonly providers: Pick<Providers, 'email' | 'sms' | 'keepsCopies' | 'forget'>
  readonly breakers: Readonly<Record<Channel, Pick<Breaker, 'run'>>>
  readonly log: Pick<Logger, 'warn'>
}

/**
 * A claim and the time of its query: performance.now() and Date.now(), because the first may stop while the process is suspended.
 */
export interface Lease {
  readonly message: ClaimedNotification
  readonly askedAt: { readonly monotonic: number; readonly wall: number }
}

/** Whether an attempt that begins now will surely end before the lease does: after that, another process may send the message. */
const isLong = ({ askedAt }: Lease): boolean =>
  Math.max(performance.now() - askedAt.monotonic, Date.now() - askedAt.wall) < claimMs - attemptMs

const lookUpMs = 10_000

const contextOf = ({ event_id: id, origin }: ClaimedNotification): CallContext =>
  eventContext({ actor: { type: 'service', id: 'notification' }, ...origin, id }, lookUpMs)

type Result = Pick<Outcome, 'status' | 'reason' | 'tried' | 'permanent'>

/** How long a message waits for its address to be confirmed. */
const heldMs = 7 * 24 * 3_600_000

/** The result for a message whose person has no address for it, or no confirmed one. */
const withoutAddress = ({ channel, created_at }: ClaimedNotification, user: User): Result | undefined => {
  if (channel === 'sms') {
    if (user.phone === null) return { status: 'skipped', reason: 'user.no_address', tried: false }
    return user.phone_confirmed ? undefined : { status: 'skipped', reason: 'user.phone_unconfirmed', tried: false }
  }
  if (user.email_confirmed) return undefined
  const status = Date.now() - Date.parse(created_at) < heldMs ? 'held' : 'skipped'
  return { status, reason: 'user.email_unconfirmed', tried: false }
}

/** One attempt at a claimed message; records its outcome. Resolves also if the message was not sent. */
export const createAttempt = ({ repository, users, providers, breakers, log }: AttemptOptions) => {
  const findUser = (id: number, message: ClaimedNotification): Promise<User | undefined> =>
    ifFound(users.getUser({ id }, contextOf(message)))

  const hand = ({ event_id: key, event_type, channel, content }: ClaimedNotification, user: User): Promise<void> => {
    const { subject, text, html, short } = orderMessage(event_type, content as unknown as OrderFacts, user)
    const { id: user_id, email, phone } = user
    return channel === 'email'
      ? providers.email({ key, user_id, to: email, subject, text, html })
      : providers.sms({ key, user_id, to: phone ?? '', text: short })
  }

  const send = async (lease: Lease): Promise<Result> => {
    const { message } = lease
    const user = await findUser(message.user_id, message)
    if (!user) {
      await providers.forget(message.user_id)
      return { status: 'skipped', reason: 'user.not_found', tried: false }
    }
    const unaddressed = withoutAddress(message, user)
    if (unaddressed) return unaddressed
    const untried = { status: message.uncertain ? 'uncertain' : 'pending', reason: null, tried: false } as const
    try {
      const handed = await breakers[message.channel].run(async () => {
        if (!isLong(lease)) return false
        await hand(message, user)
        return true
      })
      if (!handed) return untried
      // Erased while it was written: the handler of that event may have run before.
      if (providers.keepsCopies[message.channel] && !(await findUser(user.id, message))) await providers.forget(user.id)
      return { status: 'sent', reason: null, tried: true }
    } catch (error) {
      if (error instanceof BrokenCircuitError) return untried
      throw error
    }
  }

  return async (lease: Lease): Promise<void> => {
    const { message } = lease
    const result = await send(lease).catch((error: unknown): Result => {
      // Once in doubt, always in doubt: a later refusal does not prove that the first try was not accepted.
      const uncertain = message.uncertain || (error instanceof ProviderError && error.uncertain)
      const reason = error instanceof Error ? safeMessage(error).slice(0, 500) : 'unknown'
      const { id, event_id, channel } = message
      log.warn({ notification: id, event_id, channel, reason }, 'message not sent; will retry')
      const permanent = error instanceof ProviderError && error.permanent
      return { status: uncertain ? 'uncertain' : 'failed', reason, tried: true, permanent }
    })
    await repository.finish({ id: message.id, claim: message.claim, ...result })
  }
}
