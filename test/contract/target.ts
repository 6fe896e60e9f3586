import type { Test } from 'tap'
import { type Answer, call } from '../../testing/app.ts'
import type { TestProviders } from '../../testing/providers.ts'

/** A running platform with sample data, as a client sees it. */
export interface Target {
  readonly url: string
  /** The service name in its /health. */
  readonly service: string
  /** Calls between modules use the public address. */
  readonly loopback?: boolean
  /** Headers of every call: the identity of the caller. */
  readonly identity?: Readonly<Record<string, string>>
  /** The providers that receive its messages. */
  readonly providers: TestProviders
}

export type Headers = Record<string, string>

/** A target with methods for HTTP calls; paths are below /api/v1. */
export interface Client extends Target {
  get(path: string, headers?: Headers): Promise<Answer>
  post(path: string, body?: unknown, headers?: Headers): Promise<Answer>
  patch(path: string, body: unknown, headers?: Headers): Promise<Answer>
  put(path: string, body: unknown): Promise<Answer>
  remove(path: string): Promise<Answer>
}

export const clientOf = (target: Target): Client => {
  const base = `${target.url}/api/v1`
  const { identity = {} } = target
  return {
    ...target,
    get: (path, headers) => call(base + path, 'GET', undefined, { ...identity, ...headers }),
    post: (path, body, headers) => call(base + path, 'POST', body, { ...identity, ...headers }),
    patch: (path, body, headers) => call(base + path, 'PATCH', body, { ...identity, ...headers }),
    put: (path, body) => call(base + path, 'PUT', body, identity),
    remove: (path) => call(base + path, 'DELETE', undefined, identity),
  }
}

let count = 0
/** A text that is unique in this process. */
export const unique = (prefix: string): string => {
  count += 1
  return `${prefix}-${process.pid}-${count}`
}

// biome-ignore lint/suspicious/noExplicitAny: a test reads any response
type Data = any

const created = async (answer: Promise<Answer>): Promise<Data> => {
  const { status, body } = await answer
  if (status !== 201) throw new Error(`expected 201, got ${status}: ${JSON.stringify(body)}`)
  return body.data
}

export const newUser = (client: Client, fields: object = {}): Promise<Data> =>
  created(client.post('/users', { name: 'Ada', email: `${unique('ada')}@example.com`, ...fields }))

/** Creates a product with `available` pieces in stock; without it, not stock-tracked. */
export const newProduct = async (client: Client, fields: object = {}, available?: number): Promise<Data> => {
  const product = await created(client.post('/products', { sku: unique('SKU'), name: unique('Lamp'), price: 700, ...fields }))
  if (available !== undefined) await client.put(`/inventory/${product.id}`, { available })
  return product
}

export const newOrder = (client: Client, body: object, headers?: Headers): Promise<Data> =>
  created(client.post('/orders', body, headers))

export const availableOf = async (client: Client, productId: number): Promise<number | undefined> =>
  (await client.get(`/inventory?product_ids=${productId}`)).body.data[0]?.available

/** Checks that the response is a problem (RFC 9457) with this status and code, and these additional members. */
export const isProblem = (t: Test, answer: Answer, status: number, code: string, more: object = {}): void => {
  t.match(answer.body, { type: `urn:orderhub:error:${code}`, status, code, success: false, ...more }, code)
  t.equal(answer.status, status, code)
  t.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/)
  t.match(answer.body.trace_id, /^[0-9a-f]{32}$/)
}

/** All items of a list, page by page; `between` runs after the first page. */
export const allPages = async (
  client: Client,
  path: string,
  limit: number,
  between: () => Promise<unknown> = async () => {},
): Promise<Data[]> => {
  const items: Data[] = []
  let cursor: string | undefined
  do {
    const query = `${path.includes('?') ? '&' : '?'}limit=${limit}${cursor === undefined ? '' : `&cursor=${cursor}`}`
    const { status, body } = await client.get(path + query)
    if (status !== 200 || body.count !== body.data.length || body.count > limit)
      throw new Error(`${path}: ${JSON.stringify(body)}`)
    if (cursor === undefined) await between()
    items.push(...body.data)
    cursor = body.next_cursor
  } while (cursor !== undefined)
  return items
}

/** Checks the order: newest first; with the same time, largest id first; no duplicates. */
export const inTotalOrder = (t: Test, items: readonly { created_at: string; id: number }[], message: string): void => {
  const later = items.slice(1).every((item, n) => {
    const before = items[n] as { created_at: string; id: number }
    const [one, two] = [Date.parse(before.created_at), Date.parse(item.created_at)]
    return one > two || (one === two && before.id > item.id)
  })
  t.ok(later, message)
}
