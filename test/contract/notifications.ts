import type { Test } from 'tap'
import { eventually } from '../../testing/eventually.ts'
import { type Client, isProblem, newOrder, newProduct, newUser } from './target.ts'

interface Note {
  id: number
  event_id: string
  event_type: string
  channel: 'email' | 'sms'
  status: string
}

/** Waits until an order has `count` messages with the status, and returns them. */
const notesOf = (client: Client, orderId: number, count: number, status = 'sent'): Promise<Note[]> =>
  eventually(
    async () => {
      const { data } = (await client.get(`/notifications?order_id=${orderId}`)).body
      const there = data.filter((note: Note) => note.status === status)
      if (there.length !== count) throw new Error(JSON.stringify(data))
      return there
    },
    { timeoutMs: 20_000 },
  )

const one = (notes: readonly Note[], type: string, channel: string): Note => {
  const note = notes.find(({ event_type, channel: over }) => event_type === type && over === channel)
  if (!note) throw new Error(`no ${type} over ${channel}`)
  return note
}

const words = {
  en: {
    'order.created': /^Your order #\d+$/,
    'order.status_changed': /^Your order #\d+ is being processed$/,
    'order.cancelled': /^Your order #\d+ was cancelled$/,
    greeting: 'Hello Ada & Co,',
  },
  'zh-TW': {
    'order.created': /^訂單 #\d+ 已成立$/,
    'order.status_changed': /^訂單 #\d+ 處理中$/,
    'order.cancelled': /^訂單 #\d+ 已取消$/,
    greeting: 'Ada & Co 您好：',
  },
} as const

export const notificationSuite = async (t: Test, client: Client): Promise<void> => {
  const product = await newProduct(client, { name: '檯燈 <b>', price: 1200 })
  const items = [{ product_id: product.id, quantity: 2 }]
  const { email, sms } = client.providers

  for (const locale of ['en', 'zh-TW'] as const) {
    await t.test(`in ${locale}, over both channels`, async (t) => {
      const user = await newUser(client, { name: 'Ada & Co', phone: '+886987654321', locale })
      const order = await newOrder(client, { user_id: user.id, items })
      await client.patch(`/orders/${order.id}`, { status: 'processing' })
      await client.post(`/orders/${order.id}/cancel`)
      const notes = await notesOf(client, order.id, 6)
      for (const type of ['order.created', 'order.status_changed', 'order.cancelled'] as const) {
        const [mail, ...more] = email.copies(one(notes, type, 'email').event_id)
        t.same(more, [], 'one copy')
        t.match(mail, { to: user.email, subject: words[locale][type] })
        t.same(Object.keys(mail?.parts ?? {}), ['text/plain', 'text/html'])
        const { 'text/plain': text = '', 'text/html': html = '' } = mail?.parts ?? {}
        t.ok(text.startsWith(words[locale].greeting), text)
        t.ok(html.includes(words[locale].greeting.replace('&', '&amp;')), 'names are escaped in HTML')
        t.ok(html.includes(`lang="${locale}"`))
        t.match(text, /2,400/)
        if (type === 'order.created') {
          t.ok(text.includes('2 × 檯燈 <b>'))
          t.ok(html.includes('檯燈 &lt;b&gt;'))
        }
        const [message, ...others] = sms.copies(one(notes, type, 'sms').event_id)
        t.same(others, [])
        t.equal(message?.to, '+886987654321')
        t.ok(message?.text.startsWith(mail?.subject ?? '?'))
      }
      const { data } = (await client.get(`/notifications/${notes[0]?.id}`)).body
      t.same(data, notes[0])
      t.match(data, { order_id: order.id, user_id: user.id, attempts: 1, reason: null, uncertain_at: null })
      t.notOk(JSON.stringify(notes).includes(user.email), 'no e-mail address is stored')
      isProblem(t, await client.post(`/notifications/${notes[0]?.id}/retry`), 409, 'notification.not_retryable')
    })
  }

  await t.test('an amount in dollars and cents, in an e-mail marked as auto-generated', async (t) => {
    const cents = await newProduct(client, { price: 1999, currency: 'USD' })
    for (const locale of ['en', 'zh-TW'] as const) {
      const user = await newUser(client, { phone: '+886987654321', locale })
      const order = await newOrder(client, { user_id: user.id, items: [{ product_id: cents.id, quantity: 1 }] })
      t.match(order, { total: 1999, currency: 'USD' })
      const notes = await notesOf(client, order.id, 2)
      const [mail] = email.copies(one(notes, 'order.created', 'email').event_id)
      const [message] = sms.copies(one(notes, 'order.created', 'sms').event_id)
      const total = locale === 'en' ? 'Total: US$19.99' : '總計：US$19.99'
      for (const text of [mail?.parts['text/plain'], mail?.parts['text/html'], message?.text]) t.match(text, total)
      t.match(Object.fromEntries(mail?.headers ?? []), {
        'auto-submitted': 'auto-generated',
        'message-id': /@orderhub\.example>$/,
      })
    }
  })

  await t.test('a user without a phone number gets only e-mail', async (t) => {
    const user = await newUser(client)
    const order = await newOrder(client, { user_id: user.id, items })
    t.match(await notesOf(client, order.id, 1), [{ channel: 'email' }])
    t.equal((await client.get(`/notifications?user_id=${user.id}&status=sent`)).body.count, 1)
    t.equal((await client.get(`/notifications?user_id=${user.id}&status=failed`)).body.count, 0)
    isProblem(t, await client.get('/notifications?status=lost'), 400, 'request.invalid')
    isProblem(t, await client.get('/notifications/2000000000'), 404, 'notification.not_found')
    isProblem(t, await client.post('/notifications/2000000000/retry'), 404, 'notification.not_found')
    t.same((await client.get('/notifications/dead-letters')).body, { success: true, data: [], count: 0 })
    const nobody = '/notifications/dead-letters/01890000-0000-7000-8000-000000000000/replay'
    isProblem(t, await client.post(nobody), 404, 'dead_letter.not_found')
  })

  await t.test('a skipped message can be sent by a retry', async (t) => {
    const user = await newUser(client, { phone: '+886911111111' })
    sms.behave('refuse')
    const order = await newOrder(client, { user_id: user.id, items })
    await notesOf(client, order.id, 1, 'failed')
    await client.patch(`/users/${user.id}`, { phone: null })
    sms.behave('accept')
    const [skipped] = await notesOf(client, order.id, 1, 'skipped')
    t.match(skipped, { channel: 'sms', reason: 'user.no_address' })

    await client.patch(`/users/${user.id}`, { phone: '+886922222222' })
    const retried = await client.post(`/notifications/${skipped?.id}/retry`)
    t.equal(retried.status, 202)
    t.equal(retried.body.data.id, skipped?.id)
    await notesOf(client, order.id, 2)
    t.match(sms.copies(skipped?.event_id ?? ''), [{ to: '+886922222222' }])
    t.equal(email.copies(skipped?.event_id ?? '').length, 1, 'the other channel sends nothing again')
  })
}
