// `helm test`: signs in, places an order and cancels it. Leaves no product for sale behind.
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'

const { BASE_URL, ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = process.env
const mark = randomUUID()
let headers = {}

const once = async (method, path, body, more) => {
  const response = await fetch(`${BASE_URL}/api/v1${path}`, {
    method,
    headers: { ...headers, ...more, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
    signal: AbortSignal.timeout(15_000),
  })
  return { status: response.status, replayed: response.headers.get('idempotency-replayed'), ...(await response.json()) }
}

/** Retries without a response: new pods may not be in all endpoints yet. */
const send = async (...request) => {
  for (let attempt = 1; ; attempt++) {
    const answer = await once(...request).catch((error) => ({ status: 0, detail: error.cause?.code ?? error.message }))
    const passing = answer.status === 0 || answer.status === 429 || answer.status >= 502
    if (!passing || attempt === 20) return answer
    await setTimeout(2000)
  }
}

const expect = async (what, status, ...request) => {
  const answer = await send(...request)
  if (answer.status !== status)
    throw new Error(`${what}: expected ${status}, got ${answer.status}: ${answer.code ?? ''} ${answer.detail ?? ''}`)
  console.log(`ok: ${what}`)
  return answer
}

const placeOrder = async (product) => {
  const order = (quantity) => ({ items: [{ product_id: product.id, quantity }] })
  const key = { 'idempotency-key': mark }
  const { data: placed } = await expect('an order is placed', 201, 'POST', '/orders', order(2), key)
  const again = await expect('the same request with the same key', 201, 'POST', '/orders', order(2), key)
  if (again.data.id !== placed.id || again.replayed !== 'true') throw new Error('it created another order')
  await expect('another request with the same key is refused', 422, 'POST', '/orders', order(1), key)
  const { data: stock } = await expect('stock is read', 200, 'GET', `/inventory?product_ids=${product.id}`)
  if (stock[0]?.available !== 3) throw new Error(`expected 3 of 5 in stock, got ${stock[0]?.available}`)
  return placed
}

const waitForMessage = async (order) => {
  for (let attempt = 0; attempt < 30; attempt++) {
    const { data } = await send('GET', `/notifications?order_id=${order.id}`)
    if (data?.length > 0) return console.log('ok: the order has caused a message')
    await setTimeout(1000)
  }
  throw new Error('the order has caused no message')
}

const run = async () => {
  if (!email || !password) throw new Error('ADMIN_EMAIL and ADMIN_PASSWORD are missing: name a Secret in tests.existingSecret')
  await expect('orders are refused without a token', 401, 'GET', '/orders')
  const { data: tokens } = await expect('the administrator signs in', 200, 'POST', '/auth/login', { email, password })
  headers = { authorization: `Bearer ${tokens.access_token}` }
  const fields = { sku: `helm-test-${mark}`, name: 'helm test', price: 100 }
  const { data: product } = await expect('a product is created', 201, 'POST', '/products', fields)
  try {
    await expect('it has stock', 200, 'PUT', `/inventory/${product.id}`, { available: 5 })
    const order = await placeOrder(product)
    await waitForMessage(order)
    await expect('the order is cancelled', 200, 'POST', `/orders/${order.id}/cancel`)
  } finally {
    await expect('the product is deleted', 200, 'DELETE', `/products/${product.id}`)
  }
}

await run().catch((error) => {
  console.error(`failed: ${error.message}`)
  process.exitCode = 1
})
