import type { CallContext } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import type { EventEnvelope } from '../../platform/events/event.ts'
import { newUuid } from '../../platform/ids.ts'
import type { userContract } from '../user/contract.ts'
import { accountMessage } from './account-message.ts'
import { accountNotice, type Notice } from './account-notice.ts'
import type { Breaker } from './delivery/breaker.ts'
import { ifFound } from './if-found.ts'
import type { Letter } from './letter.ts'
import type { Providers } from './providers.ts'
import type { NotificationRepository } from './repository.ts'

export interface AccountMailOptions {
  readonly repository: Pick<NotificationRepository, 'isDone' | 'recordDone'>
  readonly users: Pick<Api<typeof userContract>, 'getUser' | 'issueMailToken'>
  readonly providers: Pick<Providers, 'accountEmail' | 'keepsCopies' | 'forget'>
  readonly breaker: Pick<Breaker, 'run'>
  /** Without it, the mail has no link. */
  readonly publicUrl: string | undefined
}

export type AccountMail = ReturnType<typeof createAccountMail>

/**
 * Mails that let a person into their account, and mails that report changes to it. The token is created when the mail is sent: no
 * table, queue or log of ours holds it.
 */
export const createAccountMail = ({ repository, users, providers, breaker, publicUrl }: AccountMailOptions) => {
  const send = async (userId: number, to: string, message: Letter, context: CallContext): Promise<void> => {
    // Not the event's id: each try has its own token, and a mailbox that treats it as a duplicate would hide the valid one.
    await breaker.run(() => providers.accountEmail({ key: newUuid(), user_id: userId, to, ...message }))
    // Erased while it was written: the handler of that event may have run before.
    if (providers.keepsCopies.email && !(await ifFound(users.getUser({ id: userId }, context)))) await providers.forget(userId)
  }

  /** The mail that the event asks for; none if the person is gone or no longer needs it. */
  const sendRequested = async (event: EventEnvelope<object>, context: CallContext): Promise<void> => {
    const user = await ifFound(users.getUser({ id: Number(event.aggregate_id) }, context))
    const issued = user && (await ifFound(users.issueMailToken({ event_id: event.id }, context)))
    if (!issued) return
    const { purpose, email, token } = issued
    if (purpose === 'email_changed' || token === null) return send(user.id, email, accountNotice('email_changed', user), context)
    // To a mailbox that is not confirmed.
    const person = purpose === 'email_change' || user.email_confirmed === false ? { ...user, name: null } : user
    await send(user.id, email, accountMessage(purpose, { token, publicUrl }, person), context)
  }

  const sendNotice = async (notice: Notice, userId: number, context: CallContext): Promise<void> => {
    const user = await ifFound(users.getUser({ id: userId }, context))
    if (!user || user.email_confirmed === false) return
    await send(userId, user.email, accountNotice(notice, user), context)
  }

  type Handler = (event: EventEnvelope<object>, context: CallContext) => Promise<void>
  const once =
    (handle: Handler): Handler =>
    async (event, context) => {
      if (await repository.isDone(event.id)) return
      await handle(event, context)
      await repository.recordDone(event.id)
    }

  const phoneChanged = once((event, context) => sendNotice('phone_changed', Number(event.aggregate_id), context))

  return {
    /** For an event that asks for a mail, with or without a token. */
    onRequest: once(sendRequested),
    /** A token to the new address, and a notice to the old one, which stays active until then. */
    onEmailChange: once(async (event, context) => {
      await sendRequested(event, context)
      await sendNotice('email_change', Number(event.aggregate_id), context)
    }),
    onUpdate: async (event: EventEnvelope<{ fields: string[] }>, context: CallContext): Promise<void> => {
      if (event.data.fields.includes('phone')) await phoneChanged(event, context)
    },
    onChange: (notice: Notice) => once((event, context) => sendNotice(notice, Number(event.aggregate_id), context)),
  }
}
