import fc from 'fast-check'
import t from 'tap'
import { orderMessage } from '../../../../src/modules/notification/order-message.ts'
import { inOneSegment, smsSize, toGsm7 } from '../../../../src/modules/notification/sms.ts'
import { currencyDigits } from '../../../../src/platform/currency.ts'

t.test('segments are counted according to 3GPP TS 23.040', async (t) => {
  const counted = [
    ['', 'GSM-7', 1],
    ['a'.repeat(160), 'GSM-7', 1],
    ['a'.repeat(161), 'GSM-7', 2],
    ['a'.repeat(306), 'GSM-7', 2],
    ['a'.repeat(307), 'GSM-7', 3],
    ['€'.repeat(80), 'GSM-7', 1],
    ['€'.repeat(81), 'GSM-7', 2],
    [`${'a'.repeat(152)}€${'a'.repeat(151)}`, 'GSM-7', 2],
    [`${'a'.repeat(152)}€${'a'.repeat(152)}`, 'GSM-7', 3], // an escape sequence is not split: 152, then 2 + 151, then 1
    ['訂'.repeat(70), 'UCS-2', 1],
    ['訂'.repeat(71), 'UCS-2', 2],
    ['訂'.repeat(134), 'UCS-2', 2],
    ['訂'.repeat(135), 'UCS-2', 3],
    [`${'訂'.repeat(66)}🙂${'訂'.repeat(66)}`, 'UCS-2', 3], // a surrogate pair is not split either
    [`${'a'.repeat(69)}’`, 'UCS-2', 1],
    [`${'a'.repeat(70)}’`, 'UCS-2', 2],
  ] as const
  for (const [text, encoding, segments] of counted)
    t.same(smsSize(text), { encoding, segments }, `${text.slice(0, 5)}… ${text.length}`)
})

t.test('any text is converted to the GSM-7 alphabet, and GSM-7 text stays unchanged', async (t) => {
  t.equal(toGsm7('“Zoë’s” café – 20\u00a0% …'), '"Zoe\'s" café - 20 % ...')
  t.equal(toGsm7('Zoe\u0308 ordered 滑鼠 for NT$500, €5 @ [home]'), 'Zoe ordered HuaShu for NT$500, €5 @ [home]')
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => smsSize(toGsm7(text)).encoding === 'GSM-7'))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => toGsm7(toGsm7(text)) === toGsm7(text)))
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary-ascii' }).filter((text) => smsSize(text).encoding === 'GSM-7'),
      (text) => toGsm7(text) === text,
    ),
  )
})

t.test('the longest text that fits is chosen', async (t) => {
  t.equal(inOneSegment('a'.repeat(160), 'b'), 'a'.repeat(160))
  t.equal(inOneSegment('a'.repeat(161), 'b'), 'b')
  t.equal(inOneSegment('訂'.repeat(71), '單'.repeat(72)), '單'.repeat(72), 'no text is truncated')
})

t.test('every order message fits in one segment with its total, in English as GSM-7', async () => {
  const facts = fc.record({
    order_id: fc.integer({ min: 1, max: 2_147_483_647 }),
    total: fc.oneof(fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER)),
    currency: fc.constantFrom(...currencyDigits.keys(), 'QQQ'),
    to: fc.constantFrom('pending', 'processing', 'completed', 'cancelled'),
  })
  const type = fc.constantFrom('order.created', 'order.status_changed', 'order.cancelled')
  const locale = fc.constantFrom('en' as const, 'zh-TW' as const)
  fc.assert(
    fc.property(facts, type, locale, fc.string({ unit: 'grapheme' }), (order, event, language, name) => {
      const { short } = orderMessage(event, order, { name, locale: language })
      const { encoding, segments } = smsSize(short)
      return (
        segments === 1 &&
        encoding === (language === 'en' ? 'GSM-7' : 'UCS-2') &&
        short.includes(`#${order.order_id}`) &&
        /(Total: |總計：)/.test(short) &&
        short.isWellFormed() &&
        !short.includes('\n')
      )
    }),
    { numRuns: 500 },
  )
})
