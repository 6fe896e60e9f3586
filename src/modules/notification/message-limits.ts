import { createHmac, sign } from 'node:crypto'
import type { Actor } from '../../platform/context.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import type { User } from '../user/contract.ts'
import type { Channel } from './contract.ts'

/** One count that a message adds to. */
export interface Limit {
  /** In hexadecimal; keyed, so that the table tells no address. */
  readonly key: string
  /** Messages in one hour. */
  readonly most: number
  /** What a message says that is over it. */
  readonly reason: 'limit.account' | 'limit.recipient'
}

export interface MessageLimitsOptions {
  readonly keys: Pick<KeyStore, 'signer'>
  /** 0: no limit. */
  readonly perHour: Readonly<Record<Channel, number>>
}

export type MessageLimits = ReturnType<typeof createMessageLimits>

/**
 * The limits of a message that a person causes to themselves. What staff and programs do has its limits elsewhere, and the shop
 * answers for it.
 */
export const createMessageLimits = ({ keys, perHour }: MessageLimitsOptions) => {
  /** A secret of this service that all of its processes have: Ed25519 signs the same text the same way (RFC 8032, 5.1.6). */
  const secret = (): Buffer => sign(null, Buffer.from('orderhub message limits'), keys.signer('audit-entry-notification').key)
  return (user: Pick<User, 'id' | 'email' | 'phone'>, channel: Channel, actor: Actor): Limit[] => {
    const most = perHour[channel]
    if (most === 0 || actor.type !== 'user' || actor.id !== String(user.id)) return []
    const hashKey = secret()
    const keyOf = (text: string) => createHmac('sha256', hashKey).update(`${channel}:${text}`).digest('hex')
    const address = channel === 'email' ? user.email.toLowerCase() : user.phone
    return [
      { key: keyOf(`account:${user.id}`), most, reason: 'limit.account' },
      { key: keyOf(`recipient:${address}`), most, reason: 'limit.recipient' },
    ]
  }
}
