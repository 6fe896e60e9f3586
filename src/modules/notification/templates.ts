import type { User } from '../user/contract.ts'

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
