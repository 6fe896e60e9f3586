import { PassThrough } from 'node:stream'
import t from 'tap'
import { createLog } from '../../../../src/platform/observability/log.ts'
import { safeMessage, withoutContacts } from '../../../../src/platform/observability/redact.ts'

t.test('e-mail addresses and phone numbers are redacted in any text', async (t) => {
  for (const [text, shown] of [
    ['550 5.1.1 <ada@example.com>: no such user', '550 5.1.1 <[redacted]>: no such user'],
    ['Key (email)=(Ada.L+x@example.com) exists', 'Key (email)=([redacted]) exists'],
    ['/api/v1/users/ada%40example.com', '/api/v1/users/[redacted]'],
    ['to +886900000001.', 'to [redacted].'],
    ['?q=%2B886900000001', '?q=[redacted]'],
    ['陳小明 小明@例子.台灣', '陳小明 [redacted]'],
  ] as const)
    t.equal(withoutContacts(text), shown)
  for (const text of [
    'at file:///app/node_modules/@fastify/swagger/index.js:12:3',
    '2026-11-23T18:23:12.000+00:00',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '1+1=2 at 5 %',
  ])
    t.equal(withoutContacts(text), text)
  const long = `${'a'.repeat(200_000)}@`
  t.equal(withoutContacts(long), long, 'a long text does not make it slow')
})

t.test('values that an error quotes are redacted', async (t) => {
  const notJson = (() => {
    try {
      return JSON.parse('Ada Lovelace')
    } catch (error) {
      return error
    }
  })()
  t.match(notJson.message, 'Ada', "the engine's own message")
  t.equal(safeMessage(notJson), 'the text is not JSON')
  const notDate = Object.assign(new Error('invalid input syntax for type date: "Ada "the" Countess"'), { code: '22007' })
  t.equal(safeMessage(notDate), 'invalid input syntax for type date: [redacted]')
  const unique = Object.assign(new Error('duplicate key value violates unique constraint "users_email_lookup"'), {
    code: '23505',
  })
  t.equal(safeMessage(unique), unique.message)
})

t.test('no log line contains an address, in any part of the call', async (t) => {
  const stream = new PassThrough()
  const log = createLog('trace', 'test', stream)
  const email = 'ada@example.com'
  const error = new Error(`no mailbox ${email}`, { cause: new Error(`<${email}>`) })
  log.info(email)
  log.info('queue: %s', email)
  log.warn({ err: error }, 'failed')
  log.error(error)
  log.info({ path: `/users/${email}`, nested: { list: [email, '+886900000001'] } }, 'request')
  log.child({ module: 'test' }).fatal({ address: email }, 'bound')
  log.info({ user: { name: 'Ada' }, token: 'x', body: { name: 'Ada' } }, 'named')
  const text = String(stream.read())
  t.equal(text.trim().split('\n').length, 7)
  for (const line of text.trim().split('\n')) t.doesNotThrow(() => JSON.parse(line))
  for (const hidden of ['example', '886900', 'Ada', '"x"']) t.notOk(text.includes(hidden), text)
  t.match(JSON.parse(text.split('\n')[2] ?? ''), {
    err: { message: 'no mailbox [redacted]', cause: { message: '<[redacted]>' } },
  })
})
