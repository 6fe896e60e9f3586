import { formatMoney } from '../../platform/currency.ts'
import { escapeHtml } from '../../platform/http/html.ts'
import type { Locale } from '../../platform/locales.ts'
import { type Addressee, type Block, type Letter, oneLine, paragraph, writeLetter } from './letter.ts'
import { inOneSegment, smsSize, toGsm7 } from './sms.ts'

/** The content of an order event, in the shape of the event's data. Amounts are in the currency's minor unit. */
export interface OrderFacts {
  readonly order_id: number
  readonly total: number
  readonly currency: string
  readonly items?: readonly { readonly product: string; readonly quantity: number; readonly price: number }[]
  readonly to?: string
  /** The reason of a cancellation, if no person caused it. */
  readonly reason?: 'expired'
}

export interface OrderMessage extends Letter {
  /** For SMS: one line, in one segment. */
  readonly short: string
}

type Say = (order: string, status: string) => string

interface Phrases {
  readonly subject: Readonly<Record<string, Say>>
  readonly opening: Readonly<Record<string, Say>>
  readonly total: (amount: string) => string
  readonly inBrackets: (text: string, more: string) => string
  readonly status: Readonly<Record<string, string>>
  /** An SMS in this language needs no other encoding, if names are spelled in it. */
  readonly isGsm7: boolean
}

const phrases: Readonly<Record<Locale, Phrases>> = {
  en: {
    subject: {
      'order.created': (order) => `Your order ${order}`,
      'order.status_changed': (order, status) => `Your order ${order} is ${status}`,
      'order.cancelled': (order) => `Your order ${order} was cancelled`,
      'order.cancelled.expired': (order) => `Your order ${order} expired and was cancelled`,
    },
    opening: {
      'order.created': (order) => `Thank you for your order ${order}.`,
      'order.status_changed': (order, status) => `Your order ${order} is now ${status}.`,
      'order.cancelled': (order) => `Your order ${order} was cancelled.`,
      'order.cancelled.expired': (order) => `Your order ${order} was cancelled because it was pending for too long.`,
    },
    total: (amount) => `Total: ${amount}`,
    inBrackets: (text, more) => `${text} (${more})`,
    status: { pending: 'pending', processing: 'being processed', completed: 'completed', cancelled: 'cancelled' },
    isGsm7: true,
  },
  'zh-TW': {
    subject: {
      'order.created': (order) => `訂單 ${order} 已成立`,
      'order.status_changed': (order, status) => `訂單 ${order} ${status}`,
      'order.cancelled': (order) => `訂單 ${order} 已取消`,
      'order.cancelled.expired': (order) => `訂單 ${order} 逾期，已取消`,
    },
    opening: {
      'order.created': (order) => `感謝您的訂購，訂單 ${order} 已成立。`,
      'order.status_changed': (order, status) => `您的訂單 ${order} ${status}。`,
      'order.cancelled': (order) => `您的訂單 ${order} 已取消。`,
      'order.cancelled.expired': (order) => `您的訂單 ${order} 逾期未處理，已自動取消。`,
    },
    total: (amount) => `總計：${amount}`,
    inBrackets: (text, more) => `${text}（${more}）`,
    status: { pending: '待處理', processing: '處理中', completed: '已完成', cancelled: '已取消' },
    isGsm7: false,
  },
}

const itemsBlock = (items: NonNullable<OrderFacts['items']>, currency: string): Block => {
  const lines = items.map(({ product, quantity, price }) => ({
    quantity: `${quantity} ×`,
    product: oneLine(product),
    amount: formatMoney(quantity * price, currency),
  }))
  const rows = lines.map(
    ({ quantity, product, amount }) =>
      `<tr><td>${quantity}</td><td>${escapeHtml(product)}</td><td align="right">${escapeHtml(amount)}</td></tr>`,
  )
  return {
    text: lines.map(({ quantity, product, amount }) => `  ${quantity} ${product}  ${amount}`).join('\n'),
    html: `<table role="presentation" cellpadding="4">${rows.join('')}</table>`,
  }
}

/** In a language of GSM-7: a missing symbol becomes the currency's code, and a no-break space becomes a plain one. */
const smsMoney = ({ total, currency }: OrderFacts, isGsm7: boolean): string => {
  const amount = formatMoney(total, currency)
  const fits = smsSize(amount.replaceAll('\u00a0', ' ')).encoding === 'GSM-7'
  return isGsm7 && !fits ? formatMoney(total, currency, 'code') : amount
}

/** The message about an order event for a person, in their language. */
export const orderMessage = (type: string, facts: OrderFacts, user: Addressee): OrderMessage => {
  const { locale } = user
  const say = phrases[locale]
  const order = `#${facts.order_id}`
  const status = say.status[facts.to ?? ''] ?? ''
  const what = facts.reason === undefined ? type : `${type}.${facts.reason}`
  const subject = (say.subject[what] ?? say.subject['order.status_changed'])?.(order, status) ?? order
  const opening = (say.opening[what] ?? say.opening['order.status_changed'])?.(order, status) ?? order
  const { items = [], total, currency } = facts

  const letter = writeLetter(user, subject, [
    paragraph(opening),
    ...(items.length > 0 ? [itemsBlock(items, currency)] : []),
    paragraph(say.total(formatMoney(total, currency))),
  ])
  const spell = say.isGsm7 ? toGsm7 : (text: string) => text
  const withTotal = say.inBrackets(subject, say.total(smsMoney(facts, say.isGsm7)))
  return { ...letter, short: inOneSegment(spell(withTotal), spell(subject)) }
}
