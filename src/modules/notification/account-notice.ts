import type { Locale } from '../../platform/locales.ts'
import { type Addressee, type Letter, paragraph, writeLetter } from './letter.ts'

/** A sensitive change to an account. */
export type Notice =
  | 'password_changed'
  | 'second_factor_enrolled'
  | 'second_factor_removed'
  | 'phone_changed'
  | 'email_change'
  | 'email_changed'

interface Phrases {
  readonly subject: string
  readonly notices: Readonly<Record<Notice, string>>
  readonly unasked: string
}

const phrases: Readonly<Record<Locale, Phrases>> = {
  en: {
    subject: 'Your account was changed',
    notices: {
      password_changed: 'Your password was changed, and every device was signed out.',
      second_factor_enrolled: 'A second factor was set up for your account: from now on signing in takes a code.',
      second_factor_removed: 'The second factor of your account was removed: the password alone signs in.',
      phone_changed: 'The phone number of your account was changed.',
      email_change: 'Your account is to have another e-mail address. It counts when it is confirmed; until then this one stays.',
      email_changed: 'Your account has another e-mail address now. This is the last mail to this one.',
    },
    unasked: 'If it was not you, set a new password at once and write to us.',
  },
  'zh-TW': {
    subject: '您的帳號已變更',
    notices: {
      password_changed: '您的密碼已變更，所有裝置均已登出。',
      second_factor_enrolled: '您的帳號已設定第二驗證因素，今後登入需要驗證碼。',
      second_factor_removed: '您帳號的第二驗證因素已移除，今後僅以密碼登入。',
      phone_changed: '您帳號的電話號碼已變更。',
      email_change: '您的帳號將改用另一個電子郵件；經確認後生效，在此之前仍使用此電子郵件。',
      email_changed: '您的帳號已改用另一個電子郵件，這是寄至此地址的最後一封信。',
    },
    unasked: '若非您本人，請立即重設密碼並與我們聯絡。',
  },
}

/** Notifies a person of a change, in their language. Asks for nothing and contains no link. */
export const accountNotice = (notice: Notice, person: Addressee): Letter => {
  const { subject, notices, unasked } = phrases[person.locale]
  return writeLetter(person, subject, [paragraph(notices[notice]), paragraph(unasked)])
}
