import type { CallContext } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import type { EventEnvelope } from '../../platform/events/event.ts'
import { newUuid } from '../../platform/ids.ts'
import type { MailPurpose, userContract } from '../user/contract.ts'
import { accountMessage } from './account-message.ts'
import type { Breaker } from './delivery/breaker.ts'
import { ifFound } from './if-found.ts'
import type { Providers } from './providers.ts'
import type { NotificationRepository } from './repository.ts'

export interface AccountMailOptions {
  readonly repository: Pick<NotificationRepository, 'isDone' | 'recordDone'>
  readonly users: Pick<Api<typeof userContract>, 'getUser' | 'issueMailToken'>
  readonly providers: Pick<Providers, 'accountEmail' | 'keepsCopies' | 'forget'>
  readonly breaker: Pick<Breaker, 'run'>
  /** Without it the mail has no link. */
  readonly publicUrl: string | undefined
}

/** Mails that let a person into their account. The token is made when it is sent: no table, queue or log of ours holds it. */
export const createAccountMail = ({ repository, users, providers, breaker, publicUrl }: AccountMailOptions) => {
  /** Nothing for a person who is gone, or has no use for a token. */
  const send = async (purpose: MailPurpose, userId: number, context: CallContext): Promise<void> => {
    const user = await ifFound(users.getUser({ id: userId }, context))
    const issued = user && (await ifFound(users.issueMailToken({ user_id: userId, purpose }, context)))
    if (!issued) return
    // To a mailbox that nobody has shown to be theirs no word of whoever gave it, not even a name.
    const person = user.email_confirmed ? user : { ...user, name: null }
    const message = accountMessage(purpose, { token: issued.token, publicUrl }, person)
    // Not the event's id: each try has a token of its own, and a mailbox that takes it for the same mail would hide the good one.
    await breaker.run(() => providers.accountEmail({ key: newUuid(), user_id: userId, to: user.email, ...message }))
    // Erased while it was written: the handler of that event may have looked before.
    if (providers.keepsCopies.email && !(await ifFound(users.getUser({ id: userId }, context)))) await providers.forget(userId)
  }

  const mail =
    (purpose: MailPurpose) =>
    async ({ id, aggregate_id }: EventEnvelope<object>, context: CallContext): Promise<void> => {
      if (await repository.isDone(id)) return
      await send(purpose, Number(aggregate_id), context)
      await repository.recordDone(id)
    }

  return { onActivation: mail('activation'), onReset: mail('reset') }
}
