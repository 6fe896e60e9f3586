import { createHmac, sign } from 'node:crypto'
import type { Actor } from '../../platform/context.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import type { User } from '../user/contract.ts'
import type { Channel } from './contract.ts'

/** One counter that a message increments. */
export interface Limit {
  /** Keyed hash in hexadecimal, so that the table reveals no address. */
  readonly key: string
  /** Messages per hour. */
  readonly most: number
  /** The reason of a message that is over it. */
  readonly reason: 'limit.account' | 'limit.recipient'
}

export interface MessageLimitsOptions {
  readonly keys: Pick<KeyStore, 'signer'>
  /** 0: no limit. */
  readonly perHour: Readonly<Record<Channel, number>>
}

export type MessageLimits = ReturnType<typeof createMessageLimits>

/**
 * The limits of messages that people cause to themselves. Staff and programs are not limited here: the shop is responsible for
 * what they do.
 */
export const createMessageLimits = ({ keys, perHour }: MessageLimitsOptions) => {
  /** A secret that all processes of this service share: Ed25519 signatures are deterministic (RFC 8032, 5.1.6). */
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
