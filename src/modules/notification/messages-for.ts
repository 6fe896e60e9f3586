import type { Actor } from '../../platform/context.ts'
import type { User } from '../user/contract.ts'
import type { NewMessage } from './delivery/repository.ts'
import type { MessageLimits } from './message-limits.ts'

/** The messages for an event about a person, and their initial state. */
export const messagesFor = (user: User | undefined, actor: Actor, limitsOf: MessageLimits): NewMessage[] => {
  // Also for erased people: the message records that they are gone.
  if (!user) return [{ channel: 'email', status: 'pending', reason: null, limits: [] }]
  const limits = (channel: NewMessage['channel']) => limitsOf(user, channel, actor)
  const mail: NewMessage = user.email_confirmed
    ? { channel: 'email', status: 'pending', reason: null, limits: limits('email') }
    : { channel: 'email', status: 'held', reason: 'user.email_unconfirmed', limits: limits('email') }
  if (user.phone === null) return [mail]
  const sms: NewMessage = user.phone_confirmed
    ? { channel: 'sms', status: 'pending', reason: null, limits: limits('sms') }
    : { channel: 'sms', status: 'skipped', reason: 'user.phone_unconfirmed', limits: [] }
  return [mail, sms]
}
