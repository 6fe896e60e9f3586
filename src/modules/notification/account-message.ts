import { escapeHtml } from '../../platform/http/html.ts'
import type { Locale } from '../../platform/locales.ts'
import type { MailPurpose } from '../user/contract.ts'
import { type Addressee, type Letter, paragraph, withLine, writeLetter } from './letter.ts'

export interface AccountFacts {
  readonly token: string
  /** Base URL of the account pages; undefined if not configured. */
  readonly publicUrl: string | undefined
}

interface Phrases {
  readonly subject: string
  readonly opening: string
  readonly link: string
  /** `page`: its address, or only its path. */
  readonly code: { readonly afterLink: (page: string) => string; readonly alone: (page: string) => string }
  readonly unasked: string
}

const code: Readonly<Record<Locale, Phrases['code']>> = {
  en: {
    afterLink: (page) => `If the link does not work, open ${page} and enter this code:`,
    alone: (page) => `Open the page ${page} of the shop and enter this code:`,
  },
  'zh-TW': {
    afterLink: (page) => `若連結無法使用，請開啟 ${page} 並輸入此驗證碼：`,
    alone: (page) => `請開啟本商店的 ${page} 頁面，並輸入此驗證碼：`,
  },
}

const phrases: Readonly<Record<Locale, Readonly<Record<MailPurpose, Omit<Phrases, 'code'>>>>> = {
  en: {
    activation: {
      subject: 'Activate your account',
      opening: 'Welcome! Please confirm within three days that this address is yours, with the password that you chose.',
      link: 'To confirm it, follow this link:',
      unasked: 'If you did not register, you can ignore this mail: until you confirm it, no more mails are sent to this address.',
    },
    reset: {
      subject: 'Set a new password',
      opening: 'Somebody asked for a new password for your account. If it was you, set one within one hour.',
      link: 'To set it, follow this link:',
      unasked: 'If it was not you, you can ignore this mail: your password stays as it is.',
    },
    email_change: {
      subject: 'Confirm your new e-mail address',
      opening: 'An account is to have this address. If it is yours, confirm it within one day, with the password of the account.',
      link: 'To confirm it, follow this link:',
      unasked: 'If you did not ask for this, you can ignore this mail.',
    },
  },
  'zh-TW': {
    activation: {
      subject: '啟用您的帳號',
      opening: '歡迎您！請在三天內以您設定的密碼，確認此電子郵件為您所有。',
      link: '請開啟以下連結確認：',
      unasked: '若您並未註冊，請忽略此信；在您確認之前，我們不會再寄信至此地址。',
    },
    reset: {
      subject: '設定新密碼',
      opening: '有人申請為您的帳號設定新密碼。若是您本人，請在一小時內完成設定。',
      link: '請開啟以下連結設定：',
      unasked: '若非您本人，請忽略此信，您的密碼不會變更。',
    },
    email_change: {
      subject: '確認您的新電子郵件',
      opening: '有帳號將改用此電子郵件。若為您所有，請在一天內以該帳號的密碼確認。',
      link: '請開啟以下連結確認：',
      unasked: '若您並未提出申請，請忽略此信。',
    },
  },
}

/** The gateway's pages. */
const paths: Readonly<Record<MailPurpose, string>> = {
  activation: '/activate',
  email_change: '/activate',
  reset: '/reset-password',
}

/**
 * The message with a mailed token, in the person's language. The link has the token behind the `#`, which a browser never sends
 * to a server.
 */
export const accountMessage = (purpose: MailPurpose, { token, publicUrl }: AccountFacts, user: Addressee): Letter => {
  const { subject, opening, link, unasked } = phrases[user.locale][purpose]
  const { afterLink, alone } = code[user.locale]
  const path = paths[purpose]
  const codeHtml = `<code>${escapeHtml(token)}</code>`
  if (publicUrl === undefined)
    return writeLetter(user, subject, [paragraph(opening), withLine(alone(path), token, codeHtml), paragraph(unasked)])
  const page = `${publicUrl.replace(/\/+$/, '')}${path}`
  const address = `${page}?lang=${user.locale}#token=${token}`
  return writeLetter(user, subject, [
    paragraph(opening),
    withLine(link, address, `<a href="${escapeHtml(address)}">${escapeHtml(address)}</a>`),
    withLine(afterLink(page), token, codeHtml),
    paragraph(unasked),
  ])
}
