import type { Test } from 'tap'
import { type Client, isProblem, newUser, unique } from './target.ts'

export const textSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('NUL and lone surrogates are refused everywhere', async (t) => {
    for (const text of ['a\0b', 'a\ud800b', '\udc00']) {
      const email = `${unique('t')}@example.com`
      isProblem(t, await client.post('/users', { name: text, email }), 400, 'request.invalid_text')
      isProblem(
        t,
        await client.post('/products', { sku: unique('T'), name: 'N', description: text, price: 1 }),
        400,
        'request.invalid_text',
      )
      isProblem(
        t,
        await client.post('/orders', { user_id: 1, items: [{ product: text, quantity: 1 }] }),
        400,
        'request.invalid_text',
      )
    }
    for (const path of ['/products?search=%00', '/products?search=a%00b', '/users?cursor=%00'])
      isProblem(t, await client.get(path), 400, 'request.invalid_text')
    for (const path of ['/users/%00', '/orders/1%00', '/products?search=%ED%A0%80', '/users/%ED%A0%80', '/users/%zz'])
      t.ok((await client.get(path)).status < 500, path)
    const name = '𠮷野家 ☕️ 👩‍👩‍👧 🏴\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f} نرگس‌زار'
    t.equal((await newUser(client, { name })).name, name, 'any other text is stored unchanged')
  })

  await t.test('an invented cursor is refused', async (t) => {
    const encode = (text: string) => Buffer.from(text).toString('base64url')
    const cursors = [
      'x',
      '%F0%9F%98%80',
      encode('2025-01-01T00:00:00Z'),
      encode('2025-01-01T00:00:00Z -1'),
      encode('2025-01-01T00:00:00Z 99999999999'),
      encode('2025-13-41T00:00:00Z 1'),
      encode("2025-01-01T00:00:00Z 1' or 1=1"),
      encode('infinity 1'),
    ]
    for (const path of ['/users', '/products', '/orders', '/inventory', '/notifications', '/notifications/dead-letters'])
      for (const cursor of cursors) isProblem(t, await client.get(`${path}?cursor=${cursor}`), 400, 'request.invalid_cursor')
  })

  await t.test('the limit of a list is bounded', async (t) => {
    for (const path of ['/users', '/products', '/orders', '/inventory', '/notifications', '/notifications/dead-letters']) {
      for (const limit of ['0', '101', '-1', '1.5', 'x', ''])
        isProblem(t, await client.get(`${path}?limit=${limit}`), 400, 'request.invalid')
      t.equal((await client.get(`${path}?limit=100`)).status, 200)
      isProblem(t, await client.get(`${path}?colour=red`), 400, 'request.invalid')
    }
  })

  await t.test('problems are in the language of the client', async (t) => {
    const language = (accept: string) => client.get('/users/2000000000', { 'accept-language': accept })
    const chinese = await language('zh-TW,zh;q=0.9,en;q=0.8')
    isProblem(t, chinese, 404, 'user.not_found', { detail: '找不到使用者。', title: '找不到使用者。' })
    t.equal(chinese.headers.get('content-language'), 'zh-TW')
    const english = await language('en-GB,zh-TW;q=0.5')
    isProblem(t, english, 404, 'user.not_found', { detail: 'There is no such user.' })
    t.equal(english.headers.get('content-language'), 'en')
    isProblem(t, await language('fr'), 404, 'user.not_found', { detail: 'There is no such user.' })
  })
}
