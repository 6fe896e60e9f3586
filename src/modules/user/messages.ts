import type { LocalizedText } from '../../platform/locales.ts'

/** Success messages for the person whose request changed something. The texts are not part of the API. */
export const messages = {
  'user.created': { en: 'User created', 'zh-TW': '使用者建立成功' },
  'user.updated': { en: 'User updated', 'zh-TW': '使用者更新成功' },
  'user.deleted': { en: 'User deleted', 'zh-TW': '使用者刪除成功' },
  'session.started': { en: 'Signed in', 'zh-TW': '登入成功' },
  'session.refreshed': { en: 'Tokens refreshed', 'zh-TW': '權杖更新成功' },
  'session.reauthenticated': { en: 'Identity confirmed', 'zh-TW': '身分驗證成功' },
  'session.ended': { en: 'Signed out', 'zh-TW': '登出成功' },
  'account.activated': { en: 'E-mail address confirmed', 'zh-TW': '電子郵件確認成功' },
  'password.changed': { en: 'Password changed', 'zh-TW': '密碼變更成功' },
  'password.reset_requested': {
    en: 'If there is an account with this address, a mail is on its way',
    'zh-TW': '若此電子郵件已註冊，將收到重設密碼的信件',
  },
  'second_factor.started': { en: 'Confirm the second factor with a code', 'zh-TW': '請以驗證碼確認第二驗證因素' },
  'second_factor.enrolled': { en: 'Second factor enrolled', 'zh-TW': '第二驗證因素設定成功' },
  'second_factor.removed': { en: 'Second factor removed', 'zh-TW': '第二驗證因素移除成功' },
} as const satisfies Record<string, LocalizedText>
