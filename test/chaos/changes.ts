import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { createRandom } from '../../testing/random.ts'

export interface ChangesOptions {
  readonly url: string
  /** Whether to continue after `made` successful changes. */
  readonly goesOn: (made: number) => boolean
  readonly clients: number
  readonly random: ReturnType<typeof createRandom>
}

interface Answer {
  readonly status: number
  readonly id: number | undefined
}

/** Clients that change users, products, orders and stock at random. Only failed orders are retried. */
export const makeChanges = async ({
  url,
  goesOn,
  clients,
  random,
}: ChangesOptions): Promise<{ made: number; failed: number }> => {
  const agent = new Agent({ connections: clients, headersTimeout: 15_000, bodyTimeout: 15_000 })
  const users = [1, 2, 3]
  const products = [1, 2, 3]
  const orders: number[] = []
  let made = 0
  let failed = 0

  const ask = async (method: 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, body?: object, key?: string): Promise<Answer> => {
    const answer = await request(`${url}/api/v1${path}`, {
      dispatcher: agent,
      method,
      headers: {
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: body ? JSON.stringify(body) : null,
    })
    const { data } = (await answer.body.json()) as { data?: { id?: number } }
    if (answer.statusCode < 300) made++
    else failed++
    return { status: answer.statusCode, id: data?.id }
  }

  const createdIn = async (ids: number[], answer: Promise<Answer>) => {
    const { status, id } = await answer
    if (status === 201 && id !== undefined) ids.push(id)
  }
  const order = async () => {
    const body = { user_id: random.pick(users), items: [{ product_id: random.pick(products), quantity: 1 }] }
    const key = randomUUID()
    for (let tries = 0; tries < 5; tries++) {
      const answer = await ask('POST', '/orders', body, key).catch(() => undefined)
      if (answer?.status === 201 && answer.id !== undefined) return orders.push(answer.id)
      if (answer && answer.status < 500) return
      await wait(100)
    }
  }
  const someOrder = () => (orders.length > 0 ? random.pick(orders) : 1)
  const name = () => randomUUID().slice(0, 8)
  const changes: readonly (() => Promise<unknown>)[] = [
    order,
    order,
    order,
    () => ask('PATCH', `/orders/${someOrder()}`, { status: 'processing' }),
    () => ask('POST', `/orders/${someOrder()}/cancel`),
    () => createdIn(users, ask('POST', '/users', { name: name(), email: `${name()}@example.org` })),
    () => ask('PATCH', `/users/${random.pick(users)}`, { locale: random.pick(['en', 'zh-TW']) }),
    () => createdIn(products, ask('POST', '/products', { sku: `S-${name()}`, name: name(), price: 1 + random.below(100) })),
    () => ask('PATCH', `/products/${random.pick(products)}`, { price: 1 + random.below(100) }),
    () => ask('DELETE', `/inventory/${random.pick(products)}`),
    () => ask('PUT', `/inventory/${random.pick(products)}`, { available: 1000 + random.below(1000) }),
  ]
  const client = async () => {
    while (goesOn(made)) {
      await random
        .pick(changes)()
        .catch(async () => {
          failed++
          await wait(100)
        })
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  await agent.close()
  return { made, failed }
}
