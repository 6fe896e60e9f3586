import { escapeHtml } from '../../platform/http/html.ts'
import type { Locale } from '../../platform/locales.ts'
import { renderPage } from './page.ts'

interface Common {
  readonly code: string
  readonly show: string
  /** No response. */
  readonly offline: string
  readonly noScript: (endpoint: string, fields: string) => string
}

interface Text {
  readonly title: string
  readonly password: string
  readonly opening: string
  readonly button: string
  readonly done: string
  /** The token is invalid (auth.invalid_mail_token). */
  readonly useless: string
}

type Purpose = 'activation' | 'reset'

const common: Readonly<Record<Locale, Common>> = {
  en: {
    code: 'Code from the mail',
    show: 'Show the password',
    offline: 'The shop could not be reached. Check your connection and try again.',
    noScript: (endpoint, fields) =>
      `This page needs JavaScript. Turn it on and reload the page. Or send the code, which follows “#token=” in the link, to POST /${endpoint} as JSON: ${fields}`,
  },
  'zh-TW': {
    code: '信中的驗證碼',
    show: '顯示密碼',
    offline: '無法連線至商店。請檢查網路連線後再試一次。',
    noScript: (endpoint, fields) =>
      `本頁需要 JavaScript。請啟用後重新載入，或將連結中「#token=」之後的驗證碼以 JSON 傳送至 POST /${endpoint}：${fields}`,
  },
}

const texts: Readonly<Record<Purpose, Readonly<Record<Locale, Text>>>> = {
  activation: {
    en: {
      title: 'Confirm your e-mail address',
      password: 'Password of the account',
      opening:
        'With the password of the account: so nobody else gets it with your address. If it is not your account, leave this page.',
      button: 'Confirm',
      done: 'Your e-mail address is confirmed. You can sign in with it now.',
      useless:
        'This link has been used already, or it is too old. If you can sign in with your address, it may be confirmed; a new password confirms it as well.',
    },
    'zh-TW': {
      title: '確認您的電子郵件',
      password: '帳號的密碼',
      opening: '請輸入帳號的密碼，以免他人以您的地址取得帳號。若這不是您的帳號，請離開此頁。',
      button: '確認',
      done: '您的電子郵件已確認，現在可以用它登入。',
      useless: '此連結已使用過或已過期。若您可以用此地址登入，可能已完成確認；重設密碼亦可確認。',
    },
  },
  reset: {
    en: {
      title: 'Set a new password',
      password: 'New password',
      opening: 'Choose a password that you use nowhere else. Every device that is signed in will be signed out.',
      button: 'Set the password',
      done: 'Your new password is set. You can sign in with it now.',
      useless: 'This link has been used already, or it is too old. Ask for a new mail and follow the link in it.',
    },
    'zh-TW': {
      title: '設定新密碼',
      password: '新密碼',
      opening: '請選擇未在他處使用的密碼。設定後，所有已登入的裝置都會登出。',
      button: '設定密碼',
      done: '新密碼已設定，您現在可以用它登入。',
      useless: '此連結已使用過或已過期。請重新申請，並使用新信件中的連結。',
    },
  },
}

const passwordFields = (purpose: Purpose, password: string, show: string): string => `
<p class="field"><label for="password">${escapeHtml(password)}</label>
<input id="password" name="password" type="password" autocomplete="${purpose === 'reset' ? 'new-password' : 'current-password'}" maxlength="128" required aria-describedby="problem"></p>
<p class="choice"><input id="show" type="checkbox"> <label for="show">${escapeHtml(show)}</label></p>`

/** The script shows the form: without the script, the form would put the token into an address. */
const render = (purpose: Purpose, endpoint: string, locale: Locale): string => {
  const { title, password, opening, button, done, useless } = texts[purpose][locale]
  const words = common[locale]
  const fields = '{"token": "…", "password": "…"}'
  return renderPage({
    locale,
    title,
    script: 'mail-link.js',
    body: `<noscript><p>${escapeHtml(words.noScript(endpoint, fields))}</p></noscript>
<form hidden data-endpoint="${endpoint}" data-useless="${escapeHtml(useless)}" data-offline="${escapeHtml(words.offline)}">
<p>${escapeHtml(opening)}</p>
<p class="field" data-token hidden><label for="token">${escapeHtml(words.code)}</label>
<input id="token" name="token" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="200" required aria-describedby="problem"></p>
${passwordFields(purpose, password, words.show)}
<p id="problem" role="alert"></p>
<p><button type="submit">${escapeHtml(button)}</button></p>
</form>
<p data-done tabindex="-1" hidden>${escapeHtml(done)}</p>`,
  })
}

/** The account pages that mailed links open, by path. */
export const mailLinkPages: Readonly<Record<string, (locale: Locale) => string>> = {
  '/activate': (locale) => render('activation', 'api/v1/auth/activate', locale),
  '/reset-password': (locale) => render('reset', 'api/v1/auth/password/reset', locale),
}
