import { escapeHtml } from '../../platform/http/html.ts'
import type { Locale } from '../../platform/locales.ts'
import { renderPage } from './page.ts'

/** Links of the home page; the paths are the gateway's. */
const links = {
  reference: '/docs',
  openapi: '/openapi.json',
  health: '/health',
  ready: '/health/ready',
  products: '/api/v1/products',
  sign_in: '/api/v1/auth/login',
  create_account: '/api/v1/users',
} as const

type Linked = Exclude<keyof typeof links, 'sign_in' | 'create_account'>

interface Text extends Readonly<Record<Linked, string>> {
  readonly description: string
  readonly opening: string
  readonly signIn: string
  readonly signingIn: string
}

const texts: Readonly<Record<Locale, Text>> = {
  en: {
    description: 'An order platform for a shop: users, products, orders with stock, notifications, and an audit trail.',
    opening: 'This is the address of its API, for programs. For people:',
    reference: 'the API reference, with examples to try',
    openapi: 'the API as an OpenAPI document',
    health: 'what runs here',
    ready: 'whether it is ready, with its dependencies',
    products: 'the catalogue, which is public',
    signIn: 'Signing in',
    signingIn:
      'Send an e-mail address and its password as JSON to POST /api/v1/auth/login. Send the access_token of the response with each request, as “Authorization: Bearer …”. POST /api/v1/users creates a new account.',
  },
  'zh-TW': {
    description: '商店的訂單平台：使用者、商品、含庫存的訂單、通知與稽核軌跡。',
    opening: '這是供程式使用的 API 位址。可以在瀏覽器查看的有：',
    reference: 'API 參考文件，可閱讀與試用',
    openapi: 'OpenAPI 格式的 API 文件',
    health: '這裡執行的是什麼',
    ready: '是否就緒，以及它所依賴的項目',
    products: '商品目錄，任何人都能查看',
    signIn: '登入',
    signingIn:
      '將電子郵件與密碼以 JSON 傳送至 POST /api/v1/auth/login，之後每個請求都以「Authorization: Bearer …」帶上回應中的 access_token。建立新帳號請用 POST /api/v1/users。',
  },
}

/** The home page for programs. */
export const homeData = (locale: Locale) => ({
  name: 'OrderHub',
  description: texts[locale].description,
  signing_in: texts[locale].signingIn,
  links,
})

/** The home page for browsers. */
export const homePage = (locale: Locale): string => {
  const text = texts[locale]
  const item = (name: Linked) => `<li><a href="${links[name].slice(1)}">${links[name]}</a> – ${escapeHtml(text[name])}</li>`
  return renderPage({
    locale,
    title: 'OrderHub',
    body: `<p>${escapeHtml(text.description)}</p>
<p>${escapeHtml(text.opening)}</p>
<ul>
${(['reference', 'openapi', 'health', 'ready', 'products'] as const).map(item).join('\n')}
</ul>
<h2>${escapeHtml(text.signIn)}</h2>
<p>${escapeHtml(text.signingIn)}</p>`,
  })
}
