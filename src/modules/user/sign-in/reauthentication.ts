import type { CallContext } from '../../../platform/context.ts'
import { fail } from '../errors.ts'

/**
 * Before what is as good as a password: a token alone may be stolen, so its owner proves again who they are. Those whom an external
 * issuer signs in have no password here, and programs none at all.
 * @throws auth.reauthentication_required
 */
export const assertReauthenticated = ({ actor, reauthenticated }: CallContext): void => {
  const hasAccount = actor.type === 'user' && /^[1-9]\d*$/.test(actor.id ?? '')
  if (hasAccount && !reauthenticated) throw fail('auth.reauthentication_required')
}
