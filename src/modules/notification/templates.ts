import type { MailPurpose, User } from '../user/contract.ts'

/** What an order event says; the same shape that it has in the event's data. */
export interface OrderFacts {
  readonly order_id: number
  readonly total: number
  readonly currency: string
  readonly items?: readonly { readonly product: string; readonly quantity: number; readonly price: number }[]
  readonly to?: string
}

export interface Message {
  readonly subject: string
  readonly text: string
  readonly html: string
  /** One line, for SMS. */
  readonly short: string
}

type Language = User['locale']

interface Phrases {
  readonly greeting: (name: string) => string
  readonly subject: Readonly<Record<string, (order: string, status: string) => string>>
  readonly opening: Readonly<Record<string, (order: string, status: string) => string>>
  readonly total: string
  readonly closing: string
  readonly status: Readonly<Record<string, string>>
}

const phrases: Readonly<Record<Language, Phrases>> = {
  en: {
    greeting: (name) => `Hello ${name},`,
    subject: {
      'order.created': (order) => `Your order ${order}`,
      'order.status_changed': (order, status) => `Your order ${order} is ${status}`,
      'order.cancelled': (order) => `Your order ${order} was cancelled`,
    },
    opening: {
      'order.created': (order) => `thank you for your order ${order}.`,
      'order.status_changed': (order, status) => `your order ${order} is now ${status}.`,
      'order.cancelled': (order) => `your order ${order} was cancelled.`,
    },
    total: 'Total',
    closing: 'OrderHub',
    status: { pending: 'pending', processing: 'being processed', completed: 'completed', cancelled: 'cancelled' },
  },
  'zh-TW': {
    greeting: (name) => `${name} 您好：`,
    subject: {
      'order.created': (order) => `訂單 ${order} 已成立`,
      'order.status_changed': (order, status) => `訂單 ${order} ${status}`,
      'order.cancelled': (order) => `訂單 ${order} 已取消`,
    },
    opening: {
      'order.created': (order) => `感謝您的訂購，訂單 ${order} 已成立。`,
      'order.status_changed': (order, status) => `您的訂單 ${order} ${status}。`,
      'order.cancelled': (order) => `您的訂單 ${order} 已取消。`,
    },
    total: '總計',
    closing: 'OrderHub',
    status: { pending: '待處理', processing: '處理中', completed: '已完成', cancelled: '已取消' },
  },
}

interface AccountPhrases {
  readonly subject: string
  readonly opening: string
  readonly link: string
  readonly token: string
  readonly unasked: string
}

const accountPhrases: Readonly<Record<Language, Readonly<Record<MailPurpose, AccountPhrases>>>> = {
  en: {
    activation: {
      subject: 'Activate your account',
      opening: 'welcome. Your account can be used once it is activated, within three days.',
      link: 'Activate it here:',
      token: 'Or send this token to POST /api/v1/auth/activate:',
      unasked: 'If you did not register, do nothing.',
    },
    reset: {
      subject: 'Set a new password',
      opening: 'somebody asked for a new password for your account. The token below is good for one hour and one use.',
      link: 'Set it here:',
      token: 'Or send this token and the password to POST /api/v1/auth/password/reset:',
      unasked: 'If it was not you, do nothing: your password stays as it is.',
    },
  },
  'zh-TW': {
    activation: {
      subject: '啟用您的帳號',
      opening: '歡迎您。請在三天內啟用帳號，啟用後即可使用。',
      link: '請由此啟用：',
      token: '或將此憑證傳送至 POST /api/v1/auth/activate：',
      unasked: '若您並未註冊，請忽略此信。',
    },
    reset: {
      subject: '設定新密碼',
      opening: '有人要求為您的帳號設定新密碼。以下憑證限用一次，一小時內有效。',
      link: '請由此設定：',
      token: '或將此憑證與新密碼傳送至 POST /api/v1/auth/password/reset：',
      unasked: '若非您本人，請忽略此信，密碼不會變更。',
    },
  },
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] as string)

/** Making one takes a hundred times as long as using it. */
const formats = new Map<string, Intl.NumberFormat>()
const money = (language: Language, amount: number, currency: string): string => {
  const key = `${language} ${currency}`
  const format =
    formats.get(key) ??
    new Intl.NumberFormat(language, { style: 'currency', currency, minimumFractionDigits: 0, maximumFractionDigits: 0 })
  formats.set(key, format)
  return format.format(amount)
}

/** The message of an order event to a person, in their language. */
export const orderMessage = (type: string, facts: OrderFacts, { name, locale }: Pick<User, 'name' | 'locale'>): Message => {
  const say = phrases[locale]
  const order = `#${facts.order_id}`
  const status = say.status[facts.to ?? ''] ?? ''
  const subject = (say.subject[type] ?? say.subject['order.status_changed'])?.(order, status) ?? order
  const opening = (say.opening[type] ?? say.opening['order.status_changed'])?.(order, status) ?? order
  const total = money(locale, facts.total, facts.currency)
  const items = (facts.items ?? []).map(({ product, quantity, price }) => ({
    product,
    quantity,
    amount: money(locale, quantity * price, facts.currency),
  }))

  const text = [
    say.greeting(name),
    '',
    opening,
    ...(items.length > 0 ? ['', ...items.map(({ product, quantity, amount }) => `  ${quantity} × ${product}  ${amount}`)] : []),
    '',
    `${say.total}: ${total}`,
    '',
    say.closing,
  ].join('\n')

  const rows = items.map(
    ({ product, quantity, amount }) =>
      `<tr><td>${quantity} ×</td><td>${escapeHtml(product)}</td><td align="right">${escapeHtml(amount)}</td></tr>`,
  )
  const html = [
    `<!doctype html><html lang="${locale}"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>`,
    `<body style="font-family:sans-serif"><p>${escapeHtml(say.greeting(name))}</p><p>${escapeHtml(opening)}</p>`,
    rows.length > 0 ? `<table cellpadding="4">${rows.join('')}</table>` : '',
    `<p>${say.total}: <strong>${escapeHtml(total)}</strong></p><p>${say.closing}</p></body></html>`,
  ].join('\n')

  return { subject, text, html, short: `${subject} (${say.total} ${total})` }
}

export interface AccountFacts {
  readonly token: string
  /** A page that takes the token from behind the `#`, which no server writes into its log; undefined where there is none. */
  readonly link: string | undefined
}

/** The message that carries a mailed token, in the person's language. */
export const accountMessage = (
  purpose: MailPurpose,
  { token, link }: AccountFacts,
  { name, locale }: Pick<User, 'name' | 'locale'>,
): Omit<Message, 'short'> => {
  const say = accountPhrases[locale][purpose]
  const { greeting, closing } = phrases[locale]
  const paragraphs = [
    greeting(name),
    say.opening,
    ...(link ? [`${say.link}\n${link}`] : []),
    `${say.token}\n${token}`,
    say.unasked,
    closing,
  ]
  const html = [
    `<!doctype html><html lang="${locale}"><head><meta charset="utf-8"><title>${escapeHtml(say.subject)}</title></head>`,
    '<body style="font-family:sans-serif">',
    ...paragraphs.map((paragraph) => `<p>${escapeHtml(paragraph).replace('\n', '<br>')}</p>`),
    '</body></html>',
  ].join('\n')
  return { subject: say.subject, text: paragraphs.join('\n\n'), html }
}
