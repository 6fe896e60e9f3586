/**
 * One run of autocannon in a separate process, which does nothing else. run.ts starts it, sends LoadOptions and receives
 * Figures.
 */
import autocannon from 'autocannon'
import { type Figures, percentile } from './report.ts'

export interface LoadOptions {
  readonly url: string
  readonly kind: 'create' | 'read'
  readonly connections: number
  readonly warmupSeconds: number
  readonly seconds: number
  /** Existing ids: 1 to `users`, 1 to `products` and, for reads, 1 to `orders` except `missing`. */
  readonly users: number
  readonly products: number
  readonly orders: number
  readonly missing?: readonly number[]
  /** Headers of every request: the identity of the caller. */
  readonly headers?: Record<string, string>
}

const upTo = (count: number): number => 1 + Math.floor(Math.random() * count)

const twoLines = (products: number) => {
  const first = upTo(products)
  const second = 1 + ((first - 1 + upTo(products - 1)) % products)
  return [first, second].map((product_id) => ({ product_id, quantity: upTo(3) }))
}

const existing = (orders: number, missing: readonly number[]): number => {
  const id = upTo(orders)
  return missing.includes(id) ? existing(orders, missing) : id
}

const requestOf = ({ kind, users, products, orders, missing = [], headers = {} }: LoadOptions): autocannon.Request =>
  kind === 'read'
    ? { method: 'GET', path: `/api/v1/orders/${existing(orders, missing)}`, headers }
    : {
        method: 'POST',
        path: '/api/v1/orders',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ user_id: upTo(users), items: twoLines(products) }),
      }

/** Each connection repeats its own requests. They are created in advance, so that the load takes no CPU from the server. */
const requestsPerConnection = 500
const requestsOf = (options: LoadOptions) => Array.from({ length: requestsPerConnection }, () => requestOf(options))

const fire = (options: LoadOptions, seconds: number) => {
  const latencies: number[] = []
  const { promise, resolve, reject } = Promise.withResolvers<autocannon.Result>()
  autocannon(
    {
      url: options.url,
      connections: options.connections,
      duration: seconds,
      setupClient: (client) => client.setRequests(requestsOf(options)),
    },
    (error, result) => (error ? reject(error) : resolve(result)),
  ).on('response', (_client, _status, _bytes, milliseconds) => latencies.push(milliseconds))
  return promise.then((result) => ({ result, latencies }))
}

const measure = async (options: LoadOptions): Promise<Figures> => {
  const warm = options.warmupSeconds > 0 ? await fire(options, options.warmupSeconds) : undefined
  const { result, latencies } = await fire(options, options.seconds)
  latencies.sort((a, b) => a - b)
  const failed = [warm?.result, result].reduce((sum, one) => sum + (one ? one.errors + one.non2xx : 0), 0)
  return {
    perSecond: result['2xx'] / result.duration,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    errors: failed,
  }
}

process.once('message', (options) => {
  measure(options as LoadOptions).then((figures) => process.send?.(figures, () => process.disconnect()))
})
