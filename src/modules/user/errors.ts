import { type ErrorTable, failWith } from '../../platform/errors.ts'

/** Errors of the user module, sign-in included. */
export const userErrors = {
  'user.not_found': { status: 404, en: 'There is no such user.', 'zh-TW': '找不到使用者。' },
  'user.email_taken': { status: 409, en: 'This e-mail address is in use.', 'zh-TW': '此電子郵件已被使用。' },
  'user.email_unconfirmed': {
    status: 403,
    en: 'Confirm your e-mail address first, with the mail that was sent to it; a password reset confirms it too.',
    'zh-TW': '請先依寄出的信件確認您的電子郵件；重設密碼亦可確認。',
  },
  'user.phone_country_required': {
    status: 400,
    en: 'Write the phone number with + and its country code, or set phone_country.',
    'zh-TW': '請在電話號碼前加上 + 與國碼，或以 phone_country 指定國家。',
  },
  'user.phone_country_unknown': {
    status: 400,
    en: 'phone_country must be a country code of two letters, such as TW.',
    'zh-TW': 'phone_country 必須是國家的兩個字母代碼，例如 TW。',
  },
  'user.phone_invalid': {
    status: 400,
    en: 'This is not a phone number; check its digits, and leave out an extension.',
    'zh-TW': '這不是電話號碼，請檢查號碼，且勿加分機。',
  },
  'user.password_too_short': {
    status: 400,
    en: 'Use at least 8 visible characters; consecutive spaces count as one.',
    'zh-TW': '密碼至少需要 8 個看得見的字元，連續空格視為一個。',
  },
  'user.password_too_common': {
    status: 400,
    en: 'This password is too common; use several unrelated words.',
    'zh-TW': '此密碼太常見，容易被猜到，請改用數個互不相關的詞。',
  },
  'user.password_personal': {
    status: 400,
    en: 'The password must not be your name, your e-mail address or the name of this service.',
    'zh-TW': '密碼不得為您的姓名、電子郵件或本服務的名稱。',
  },
  'user.last_admin': {
    status: 409,
    en: 'This is the last administrator; create another one first.',
    'zh-TW': '這是最後一位管理員，請先指派其他管理員。',
  },
  'user.unavailable': { status: 503, en: 'The user service is not responding.', 'zh-TW': '使用者服務沒有回應。' },
  'auth.invalid_credentials': {
    status: 401,
    en: 'The e-mail address or the password is wrong.',
    'zh-TW': '電子郵件或密碼錯誤。',
  },
  'auth.otp_required': { status: 401, en: 'Send the one-time code as well.', 'zh-TW': '請一併提供一次性驗證碼。' },
  'auth.invalid_otp': { status: 401, en: 'The one-time code is wrong or was used.', 'zh-TW': '一次性驗證碼錯誤或已使用。' },
  'auth.not_activated': {
    status: 403,
    en: 'Activate the account first, with the token in the mail.',
    'zh-TW': '請先以郵寄的憑證啟用帳號。',
  },
  'auth.mfa_already_enrolled': { status: 409, en: 'A second factor is enrolled already.', 'zh-TW': '已設定第二驗證因素。' },
  'auth.mfa_not_enrolled': { status: 409, en: 'No second factor is being enrolled.', 'zh-TW': '尚未設定第二驗證因素。' },
  'auth.registration_closed': { status: 403, en: 'Accounts are created by an administrator.', 'zh-TW': '帳號須由管理員建立。' },
  'auth.too_many_attempts': { status: 429, en: 'Too many attempts; try again later.', 'zh-TW': '嘗試次數過多，請稍後再試。' },
  'auth.busy': { status: 503, en: 'Too many people are signing in; try again.', 'zh-TW': '登入人數過多，請再試一次。' },
  'auth.invalid_mail_token': {
    status: 400,
    en: 'The token is invalid, was used, or has expired.',
    'zh-TW': '憑證錯誤、已使用或已過期。',
  },
} as const satisfies ErrorTable

export const fail = failWith(userErrors)
