import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { createRandom } from '../../testing/random.ts'

export interface Attempted {
  readonly key: string
  readonly body: {
    readonly user_id: number
    readonly items: readonly { readonly product_id: number; readonly quantity: number }[]
  }
  /** Undefined if there was no final response in time. */
  readonly status: number | undefined
  readonly orderId: number | undefined
  readonly tries: number
}

export interface BuyersOptions {
  readonly url: string
  readonly count: number
  readonly userIds: readonly number[]
  readonly productIds: readonly number[]
  readonly random: ReturnType<typeof createRandom>
}

/** How long a buyer retries one order. */
const patienceMs = 60_000

const isFinal = (status: number) => status === 201 || (status >= 400 && status < 500 && status !== 429 && status !== 408)

/** Buyers who place orders continuously, and retry each with its own idempotency key until there is a final response. */
export const startBuyers = ({ url, count, userIds, productIds, random }: BuyersOptions): { stop(): Promise<Attempted[]> } => {
  const agent = new Agent({ connections: count, headersTimeout: 15_000, bodyTimeout: 15_000 })
  const attempted: Attempted[] = []
  let ordering = true

  const ask = async (key: string, body: object) => {
    const answer = await request(`${url}/api/v1/orders`, {
      dispatcher: agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(body),
    })
    return { status: answer.statusCode, body: (await answer.body.json()) as { data?: { id: number } } }
  }

  const order = async (): Promise<void> => {
    const key = randomUUID()
    const items = Array.from({ length: 1 + random.below(3) }, () => ({
      product_id: random.pick(productIds),
      quantity: 1 + random.below(3),
    }))
    const body = { user_id: random.pick(userIds), items }
    const until = Date.now() + patienceMs
    for (let tries = 1; ; tries++) {
      const answer = await ask(key, body).catch(() => undefined)
      if (answer && isFinal(answer.status)) {
        attempted.push({ key, body, status: answer.status, orderId: answer.body.data?.id, tries })
        return
      }
      if (Date.now() > until) {
        attempted.push({ key, body, status: undefined, orderId: undefined, tries })
        return
      }
      await wait(Math.min(50 * 2 ** tries, 1000))
    }
  }
  const buyers = Array.from({ length: count }, async () => {
    while (ordering) {
      await order()
      await wait(50)
    }
  })
  return {
    stop: async () => {
      ordering = false
      await Promise.all(buyers)
      await agent.close()
      return attempted
    },
  }
}
