import type { CallContext } from '../../../platform/context.ts'
import { fail } from '../errors.ts'

/**
 * Step-up authentication for sensitive changes: a token alone may be stolen, so its owner must prove their identity again. People
 * of an external issuer have no password here, and programs have none at all.
 * @throws auth.reauthentication_required
 */
export const assertReauthenticated = ({ actor, reauthenticated }: CallContext): void => {
  const hasAccount = actor.type === 'user' && /^[1-9]\d*$/.test(actor.id ?? '')
  if (hasAccount && !reauthenticated) throw fail('auth.reauthentication_required')
}
