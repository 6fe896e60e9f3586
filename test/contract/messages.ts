import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import { type Client, newOrder, newProduct, newUser, unique } from './target.ts'

interface Documented {
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly content?: Readonly<
          Record<string, { schema: { required?: string[]; properties?: { message?: { examples?: string[] } } } }>
        >
      }
    >
  >
}

export const messageSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('the OpenAPI document has the message of each successful change', async (t) => {
    const { paths } = (await call(`${client.url}/openapi.json`)).body as { paths: Record<string, Record<string, Documented>> }
    let changes = 0
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { responses }] of Object.entries(methods)) {
        const [, success] = Object.entries(responses).find(([status]) => status.startsWith('2')) ?? []
        const schema = success?.content?.['application/json']?.schema
        if (method === 'get') {
          t.notOk(schema?.required?.includes('message'), `GET ${path} has no message`)
          continue
        }
        changes++
        t.ok(schema?.required?.includes('message'), `${method} ${path}`)
        const [english = '', chinese = ''] = schema?.properties?.message?.examples ?? []
        t.match(english, /^[\x20-\x7e]+$/)
        t.match(chinese, /^[^a-z]*\p{Script=Han}[^a-z]*$/u)
      }
    }
    t.ok(changes > 20, `${changes} changes`)
  })

  await t.test('messages are in the language of the client', async (t) => {
    const user = await newUser(client)
    const product = await newProduct(client, {}, 100)
    const hasMessage = async (
      ...[path, method, body, english, chinese, more = {}]: [string, string, unknown, string, string, Record<string, string>?]
    ) => {
      for (const [language, locale, message] of [
        ['zh-TW,zh;q=0.9,en;q=0.8', 'zh-TW', chinese],
        ['en', 'en', english],
        ['fr', 'en', english],
      ] as const) {
        const headers = { ...client.identity, ...more, 'accept-language': language }
        const answer = await call(`${client.url}/api/v1${path}`, method, body, headers)
        // The first request has created or deleted it already.
        if (language !== 'zh-TW,zh;q=0.9,en;q=0.8' && answer.status >= 400) continue
        t.match(answer.body, { success: true, message }, `${method} ${path}`)
        t.equal(answer.headers.get('content-language'), locale)
        t.match(answer.headers.get('vary') ?? '', /accept-language/i)
      }
    }
    const gone = async (path: string, english: string, chinese: string, make: () => Promise<{ id: number }>) => {
      await hasMessage(`${path}/${(await make()).id}`, 'DELETE', undefined, english, chinese)
      t.equal((await client.remove(`${path}/${(await make()).id}`)).body.message, english)
    }
    const once = (prefix: string) => ({ name: prefix, email: `${unique(prefix)}@example.com` })
    await hasMessage('/users', 'POST', once('message'), 'User created', '使用者建立成功')
    await hasMessage(`/users/${user.id}`, 'PATCH', { name: 'Grace' }, 'User updated', '使用者更新成功')
    await gone('/users', 'User deleted', '使用者刪除成功', () => newUser(client))
    await hasMessage('/products', 'POST', { sku: unique('MESSAGE'), name: 'Lamp', price: 1 }, 'Product created', '商品建立成功')
    await hasMessage(`/products/${product.id}`, 'PATCH', { price: 2 }, 'Product updated', '商品更新成功')
    await gone('/products', 'Product deleted', '商品刪除成功', () => newProduct(client))
    const body = { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] }
    await hasMessage('/orders', 'POST', body, 'Order created', '訂單建立成功')
    const key = { 'idempotency-key': unique('message') }
    await hasMessage('/orders', 'POST', body, 'Order created', '訂單建立成功', key)
    const order = await newOrder(client, body)
    await hasMessage(`/orders/${order.id}`, 'PATCH', { status: 'processing' }, 'Order status updated', '訂單狀態更新成功')
    await hasMessage(`/orders/${order.id}/cancel`, 'POST', undefined, 'Order cancelled', '訂單取消成功')
    await hasMessage(`/inventory/${product.id}`, 'PUT', { available: 5 }, 'Stock updated', '庫存更新成功')
    await hasMessage(`/inventory/${product.id}`, 'DELETE', undefined, 'Stock tracking ended', '已停止追蹤庫存')
    const read = await client.get(`/orders/${order.id}`)
    t.notOk('message' in read.body, 'a read has no message')
  })
}
