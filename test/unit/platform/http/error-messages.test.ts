import t from 'tap'
import { accountMessage } from '../../../../src/modules/notification/account-message.ts'
import { orderMessage } from '../../../../src/modules/notification/order-message.ts'

const facts = {
  order_id: 12,
  total: 1500,
  currency: 'TWD',
  items: [{ product: '<img src=x onerror="alert(1)">&\'', quantity: 3, price: 500 }],
}
const steps = ['order.created', 'order.status_changed', 'order.cancelled']
const ann = { name: 'Ann', locale: 'en' } as const
const ming = { name: '小明', locale: 'zh-TW' } as const
const token = 'x'.repeat(43)

t.test("each message has the order and the total, in the person's language", async (t) => {
  const english = steps.map((type) => orderMessage(type, { ...facts, to: 'processing' }, ann))
  const chinese = steps.map((type) => orderMessage(type, { ...facts, to: 'processing' }, ming))
  t.same(
    english.map(({ subject }) => subject),
    ['Your order #12', 'Your order #12 is being processed', 'Your order #12 was cancelled'],
  )
  t.same(
    chinese.map(({ subject }) => subject),
    ['訂單 #12 已成立', '訂單 #12 處理中', '訂單 #12 已取消'],
  )
  for (const { text, html, short } of english) for (const part of [text, html, short]) t.match(part, /#12.*Total: NT\$1,500/s)
  for (const { text, html, short } of chinese) for (const part of [text, html, short]) t.match(part, /#12.*總計：NT\$1,500/s)
  t.match(chinese[0], { text: /^小明 您好：/, html: /lang="zh-TW"/ })
})

t.test('amounts are in the minor unit of their currency', async (t) => {
  const items = [{ product: 'Lamp', quantity: 2, price: 1999 }]
  for (const user of [ann, ming]) {
    const { text, html, short } = orderMessage('order.created', { ...facts, currency: 'USD', total: 3998, items }, user)
    for (const part of [text, html, short]) t.match(part, 'US$39.98')
    t.match(text, '  2 × Lamp  US$39.98')
  }
})

t.test('the complete text of an e-mail', async (t) => {
  const items = [{ product: '滑鼠', quantity: 2, price: 500 }]
  t.equal(
    orderMessage('order.created', { ...facts, total: 1000, items }, ming).text,
    '小明 您好：\n\n感謝您的訂購，訂單 #12 已成立。\n\n  2 × 滑鼠  NT$1,000\n\n總計：NT$1,000\n\nOrderHub\n',
  )
  t.equal(
    accountMessage('reset', { token, publicUrl: 'https://shop.example/' }, ann).text,
    [
      'Hello Ann,',
      'Somebody asked for a new password for your account. If it was you, set one within one hour.',
      `To set it, follow this link:\nhttps://shop.example/reset-password?lang=en#token=${token}`,
      `If the link does not work, open https://shop.example/reset-password and enter this code:\n${token}`,
      'If it was not you, you can ignore this mail: your password stays as it is.',
      'OrderHub\n',
    ].join('\n\n'),
  )
  t.equal(
    accountMessage('activation', { token, publicUrl: undefined }, ming).text,
    [
      '小明 您好：',
      '歡迎您！請在三天內以您設定的密碼，確認此電子郵件為您所有。',
      `請開啟本商店的 /activate 頁面，並輸入此驗證碼：\n${token}`,
      '若您並未註冊，請忽略此信；在您確認之前，我們不會再寄信至此地址。',
      'OrderHub\n',
    ].join('\n\n'),
  )
})

t.test('an account e-mail begins with what to do; Chinese text uses Chinese punctuation', async (t) => {
  for (const purpose of ['activation', 'reset', 'email_change'] as const) {
    for (const user of [ann, ming]) {
      for (const publicUrl of [undefined, 'https://shop.example']) {
        const { text, html } = accountMessage(purpose, { token, publicUrl }, user)
        t.notMatch(text, /\bOr\b|或將|POST|API/)
        t.match(text, new RegExp(`^${token}$`, 'm'))
        t.match(html, `<code>${token}</code>`)
        t.equal(html.includes(`href="https://shop.example/`), publicUrl !== undefined)
        if (user === ming) t.notMatch(text, /\p{Script=Han}[,.:;!?()]|[,.:;!?()]\p{Script=Han}/u)
      }
    }
  }
  for (const type of steps) {
    const { text, short } = orderMessage(type, { ...facts, to: 'completed' }, ming)
    for (const part of [text, short]) t.notMatch(part, /\p{Script=Han} ?[,.:;!?()]|[,.:;!?()]\p{Script=Han}/u)
  }
})

t.test('text from users is escaped in HTML, and on one line in plain text', async (t) => {
  const { html, text } = orderMessage('order.created', facts, { name: '<script>1</script>', locale: 'en' })
  t.notMatch(html, /<script|<img/)
  t.match(html, '&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;&#39;')
  t.match(text, '3 × <img src=x')
  const hostile = 'Ann,\r\n\r\nYour order was cancelled:\u2028pay at \0evil.example'
  const letter = orderMessage(
    'order.created',
    { ...facts, items: [{ product: hostile, quantity: 1, price: 1 }] },
    { name: hostile, locale: 'en' },
  )
  t.ok(letter.text.startsWith('Hello Ann, Your order was cancelled: pay at evil.example,\n\n'))
  t.match(letter.text, /^ {2}1 × Ann, Your order was cancelled: pay at evil\.example {2}NT\$1$/m)
})

t.test('an order without items still gets a message', async (t) => {
  const { items, ...bare } = facts
  for (const type of steps) t.notMatch(orderMessage(type, bare, ann).html, '<table')
})

t.test('a recipient who may be a stranger is greeted without a name', async (t) => {
  for (const user of [ann, ming]) {
    const { text, html } = accountMessage('activation', { token, publicUrl: undefined }, { ...user, name: null })
    for (const part of [text, html]) t.notMatch(part, user.name)
    t.match(text, /^(Hello,|您好：)\n/)
  }
})

t.test('the message about an expired order says why it was cancelled', async (t) => {
  const expired = { ...facts, to: 'cancelled', reason: 'expired' } as const
  const english = { subject: 'Your order #12 expired and was cancelled', text: /pending for too long/ }
  t.match(orderMessage('order.cancelled', expired, ann), english)
  t.match(orderMessage('order.cancelled', expired, ming), { subject: '訂單 #12 逾期，已取消', text: /逾期未處理/ })
})
