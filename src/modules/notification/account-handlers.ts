import type { AccountMail } from './account-mail.ts'

/** Account mails, by the event that causes them. */
export const accountHandlers = ({ onRequest, onEmailChange, onUpdate, onChange }: AccountMail) => ({
  'user.activation_requested': onRequest,
  'user.password_reset_requested': onRequest,
  'user.email_change_requested': onEmailChange,
  'user.email_changed': onRequest,
  'user.updated': onUpdate,
  'user.password_changed': onChange('password_changed'),
  'user.second_factor_enrolled': onChange('second_factor_enrolled'),
  'user.second_factor_removed': onChange('second_factor_removed'),
  'user.second_factor_reset': onChange('second_factor_removed'),
})
