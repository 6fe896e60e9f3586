import t from 'tap'
import { orderMessage } from '../../src/modules/notification/templates.ts'

const facts = {
  order_id: 12,
  total: 1500,
  currency: 'TWD',
  items: [{ product: '<img src=x onerror="alert(1)">&\'', quantity: 3, price: 500 }],
}
const steps = ['order.created', 'order.status_changed', 'order.cancelled']

t.test("each step says the order and the total, in the person's language", async (t) => {
  const english = steps.map((type) => orderMessage(type, { ...facts, to: 'processing' }, { name: 'Ann', locale: 'en' }))
  const chinese = steps.map((type) => orderMessage(type, { ...facts, to: 'processing' }, { name: '小明', locale: 'zh-TW' }))
  t.same(
    english.map(({ subject }) => subject),
    ['Your order #12', 'Your order #12 is being processed', 'Your order #12 was cancelled'],
  )
  t.same(
    chinese.map(({ subject }) => subject),
    ['訂單 #12 已成立', '訂單 #12 處理中', '訂單 #12 已取消'],
  )
  for (const { text, html, short } of english) for (const part of [text, html, short]) t.match(part, /#12.*1,500/s)
  t.match(chinese[0], { text: /^小明 您好：/, html: /lang="zh-TW"/ })
})

t.test('what a person wrote is text in the HTML, and as it is in the text', async (t) => {
  const { html, text } = orderMessage('order.created', facts, { name: '<script>1</script>', locale: 'en' })
  t.notMatch(html, /<script|<img/)
  t.match(html, '&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;&#39;')
  t.match(text, '3 × <img src=x')
})

t.test('an SMS is one line, and facts without items still make a message', async (t) => {
  const { items, ...bare } = facts
  for (const type of steps) {
    const { short, html } = orderMessage(type, bare, { name: 'Ann', locale: 'en' })
    t.notMatch(short, '\n')
    t.notMatch(html, '<table')
  }
})
