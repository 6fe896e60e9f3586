import { handlerOf } from '../../platform/events/consumer.ts'
import { userContract } from '../user/contract.ts'
import type { AccountMail } from './account-mail.ts'

const { events } = userContract

/** Account mails, by the event that causes them. */
export const accountHandlers = ({ onRequest, onEmailChange, onUpdate, onChange }: AccountMail) => ({
  'user.activation_requested': handlerOf(events['user.activation_requested'], onRequest),
  'user.password_reset_requested': handlerOf(events['user.password_reset_requested'], onRequest),
  'user.email_change_requested': handlerOf(events['user.email_change_requested'], onEmailChange),
  'user.email_changed': handlerOf(events['user.email_changed'], onRequest),
  'user.updated': handlerOf(events['user.updated'], onUpdate),
  'user.password_changed': handlerOf(events['user.password_changed'], onChange('password_changed')),
  'user.second_factor_enrolled': handlerOf(events['user.second_factor_enrolled'], onChange('second_factor_enrolled')),
  'user.second_factor_removed': handlerOf(events['user.second_factor_removed'], onChange('second_factor_removed')),
  'user.second_factor_reset': handlerOf(events['user.second_factor_reset'], onChange('second_factor_removed')),
})
