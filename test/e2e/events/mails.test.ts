import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { accountMessage } from '../../../src/modules/notification/account-message.ts'
import { orderMessage } from '../../../src/modules/notification/order-message.ts'
import { createProviders, type Email, messageIdDomain } from '../../../src/modules/notification/providers.ts'
import { newUuid } from '../../../src/platform/ids.ts'
import { type Mail, readMail } from '../../../testing/mime.ts'
import { startProviders } from '../../../testing/providers.ts'

const mailFrom = '"小店, 台北" <orders@shop.example>'
const smtp = await startProviders()
const dataDir = mkdtempSync(join(tmpdir(), 'orderhub-mails-'))
t.teardown(async () => {
  await smtp.stop()
  await rm(dataDir, { recursive: true })
})

/** The same message as an SMTP server receives it and as it is written to a file. */
const bothWays = async (message: Omit<Email, 'key' | 'user_id'>): Promise<[key: string, mails: readonly Mail[]]> => {
  const options = { mailFrom, publicUrl: undefined, smsUrl: undefined, smsFrom: 'Shop', dataDir, log: pino({ level: 'silent' }) }
  const key = newUuid()
  for (const smtpUrl of [smtp.env.SMTP_URL, undefined]) {
    const providers = createProviders({ ...options, smtpUrl })
    await providers.email({ ...message, key, user_id: 7 })
    await providers.close()
  }
  t.same(readdirSync(join(dataDir, 'mail', '7')).includes(`${key}.eml`), true)
  return [key, [...smtp.email.copies(key), readMail(readFileSync(join(dataDir, 'mail', '7', `${key}.eml`), 'latin1'))]]
}

const facts = { order_id: 12, total: 3998, currency: 'USD', items: [{ product: '滑鼠', quantity: 2, price: 1999 }] }
const ming = { name: '小明', locale: 'zh-TW' } as const

t.test('headers and parts, over SMTP and in a file', async (t) => {
  const letters = [
    orderMessage('order.created', facts, ming),
    accountMessage('reset', { token: 'x'.repeat(43), publicUrl: 'https://shop.example' }, { name: 'Ann', locale: 'en' }),
  ]
  for (const { subject, text, html } of letters) {
    const [key, mails] = await bothWays({ to: 'ming@example.com', subject, text, html })
    t.equal(mails.length, 2)
    for (const mail of mails) {
      t.match(mail, { messageId: `<${key}@shop.example>`, to: 'ming@example.com', subject })
      t.equal(mail.from, '小店, 台北 <orders@shop.example>', 'the name is encoded, so its comma is not a separator')
      const headers = Object.fromEntries(mail.headers)
      t.match(headers, {
        'auto-submitted': 'auto-generated',
        'x-auto-response-suppress': 'OOF, AutoReply',
        'mime-version': '1.0',
      })
      t.ok(Math.abs(Date.now() - Date.parse(headers.date ?? '')) < 60_000)
      t.match(headers['content-type'], /^multipart\/alternative;/)
      t.same(mail.parts, { 'text/plain': text, 'text/html': html }, 'HTML last: mail clients show the last part')
    }
  }
})

t.test('text from users cannot add a header', async (t) => {
  const name = 'Ann\r\nBcc: all@example.com\r\n\r\n<b>'
  const letter = orderMessage(
    'order.created',
    { ...facts, items: [{ product: name, quantity: 1, price: 1 }] },
    { name, locale: 'en' },
  )
  const [, mails] = await bothWays({ ...letter, to: 'ann@example.com', subject: `${letter.subject}\r\nBcc: all@example.com` })
  for (const mail of mails) {
    t.same(mail.headers.map(([header]) => header).sort(), [
      'auto-submitted',
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'subject',
      'to',
      'x-auto-response-suppress',
    ])
    t.notMatch(mail.parts['text/plain'], /^Bcc/m)
  }
})

t.test("the Message-ID has the sender's domain", async (t) => {
  const domains = [
    ['Shop <orders@shop.example>', 'https://www.shop.example', 'shop.example'],
    ['orders@shop.example', undefined, 'shop.example'],
    ['orders@商店.tw', undefined, 'xn--czrs0t.tw'],
    ['orders', 'https://www.shop.example:8443/x', 'www.shop.example'],
    ['orders', undefined, 'orderhub.invalid'],
  ] as const
  for (const [from, publicUrl, domain] of domains) t.equal(messageIdDomain(from, publicUrl), domain, from)
})
