// Runs in the cluster, alone, with the image's Node.js. Sends orders and reads at a constant rate until SIGUSR2, whatever the
// responses; then searches for accepted orders that are missing, and prints a report as its last line.
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'

const setting = (name: string): string => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is missing`)
  return value
}
const base = `${setting('BASE_URL')}/api/v1`
const mail = setting('MAIL_URL')
const rate = Number(setting('RATE'))
/** In percent. */
const orderShare = Number(setting('ORDER_SHARE'))
const retries = setting('RETRIES') === 'true'
/** For one attempt. */
const timeoutMs = retries ? 3000 : 15_000
const patienceMs = 90_000
const longestRunMs = 900_000
const risingMs = 15_000

interface Failure {
  readonly at: number
  readonly request: string
  readonly problem: string
}

const say = (line: string) => console.log(`${new Date().toISOString()} ${line}`)
const problemOf = (error: Error): string => {
  const { code, message } = (error.cause ?? error) as { code?: unknown; message: string }
  return typeof code === 'string' ? code : message
}

let token = ''
interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly key?: string
  readonly anonymous?: boolean
}
const call = async (path: string, { method = 'GET', body, key, anonymous = false }: Call = {}) => {
  const response = await fetch(`${base}${path}`, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      ...(token && !anonymous ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 200)}`)
  return JSON.parse(text)
}

const patiently = async <T>(task: () => Promise<T>): Promise<T> => {
  const until = Date.now() + patienceMs
  for (;;) {
    try {
      return await task()
    } catch (error) {
      if (Date.now() > until) throw error
      await wait(250)
    }
  }
}

/** An access token is valid for ten minutes. */
const signIn = async () => {
  const body = { email: setting('ADMIN_EMAIL'), password: setting('ADMIN_PASSWORD') }
  token = (await patiently(() => call('/auth/login', { method: 'POST', body }))).data.access_token
}

const makeProducts = async (): Promise<number[]> => {
  const run = randomUUID()
  const ids: number[] = []
  for (let n = 0; n < 50; n++) {
    const body = { sku: `E2E-${run}-${n}`, name: `Load ${run} ${n}`, price: 100 + n }
    const { data } = await patiently(() => call('/products', { method: 'POST', body }))
    await patiently(() => call(`/inventory/${data.id}`, { method: 'PUT', body: { available: 1_000_000 } }))
    ids.push(data.id)
  }
  return ids
}

/** The number of requests due after `ms`: the rate rises at first and is then constant. */
const dueAfter = (ms: number): number => {
  const rising = Math.min(ms, risingMs)
  return ((rising ** 2 / risingMs / 2 + (ms - rising)) * rate) / 1000
}

const load = async (productIds: readonly number[]) => {
  const orders: number[] = []
  const failures: Failure[] = []
  const latencies: number[] = []
  let sent = 0
  let tries = 0
  let longestMs = 0
  const product = () => productIds[sent % productIds.length]

  const one = async (number: number) => {
    const begun = Date.now()
    const key = randomUUID()
    const isOrder = number % 100 < orderShare
    const body = { items: [{ product_id: product(), quantity: 1 }] }
    const lastOrder = orders.at(-1)
    const path = isOrder
      ? '/orders'
      : number % 3 === 0 && lastOrder !== undefined
        ? `/orders/${lastOrder}`
        : number % 3 === 1
          ? '/products?limit=20'
          : `/products/${product()}`
    const attempt = () => {
      tries++
      return call(path, isOrder ? { method: 'POST', body, key } : { anonymous: path.startsWith('/products') })
    }
    try {
      const answer = await (retries ? patiently(attempt) : attempt())
      const ms = Date.now() - begun
      latencies.push(ms)
      longestMs = Math.max(longestMs, ms)
      if (isOrder) orders.push(answer.data.id)
    } catch (error) {
      const problem = `${problemOf(error as Error)} after ${Date.now() - begun} ms`
      failures.push({ at: Date.now(), request: `${isOrder ? 'POST' : 'GET'} ${path}`, problem })
      say(`failed: ${problem} ${path}`)
    }
  }

  let stopping = false
  process.once('SIGUSR2', () => {
    stopping = true
  })
  const renewal = setInterval(() => void signIn(), 300_000)
  const begun = Date.now()
  const running = new Set<Promise<void>>()
  // Scattered, so that orders do not come in bursts.
  const numbers = Array.from({ length: 100 }, (_, n) => (n * 37) % 100)
  say('load begins')
  while (!stopping && Date.now() - begun < longestRunMs) {
    for (const due = dueAfter(Date.now() - begun); sent < due; sent++) {
      const request = one((numbers[sent % 100] as number) + 100 * Math.floor(sent / 100)).finally(() => running.delete(request))
      running.add(request)
    }
    await wait(5)
  }
  const seconds = (Date.now() - begun) / 1000
  await Promise.all(running)
  clearInterval(renewal)
  latencies.sort((a, b) => a - b)
  const percentile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0
  return { orders, failures, sent, tries, seconds, longestMs, p50: percentile(0.5), p99: percentile(0.99), begun }
}

/** Items of all pages, newest first, up to the page with one that is `enough`. */
// biome-ignore lint/suspicious/noExplicitAny: any response of the API
const pages = async (path: string, enough: (item: any) => boolean): Promise<any[]> => {
  const items = []
  for (let cursor = ''; ; ) {
    const { data, next_cursor } = await patiently(() => call(`${path}?limit=100${cursor}`))
    items.push(...data)
    if (!next_cursor || data.some(enough)) return items
    cursor = `&cursor=${encodeURIComponent(next_cursor)}`
  }
}

/** Accepted orders that are not stored, without a notification recorded as sent, and without a caught mail. */
const missing = async (orders: readonly number[], begun: number) => {
  const old = ({ created_at }: { created_at: string }) => Date.parse(created_at) < begun - 5000
  const stored = new Set((await pages('/orders', old)).map(({ id }) => id))
  const sent = new Map<number, string>()
  for (const { order_id, event_id, event_type, status, channel } of await pages('/notifications', old)) {
    if (event_type === 'order.created' && channel === 'email' && status === 'sent') sent.set(order_id, event_id)
  }
  const response = await fetch(`${mail}/email`, { signal: AbortSignal.timeout(60_000) })
  const caught = ((await response.json()) as { messageId?: string }[]).map(({ messageId }) => messageId ?? '')
  const keys = new Set(caught.map((id) => /([0-9a-f-]{36})@/.exec(id)?.[1]))
  return {
    orders: orders.filter((id) => !stored.has(id)),
    notifications: orders.filter((id) => !sent.has(id)),
    mails: orders.filter((id) => !keys.has(sent.get(id))),
    secondMails: caught.length - keys.size,
  }
}

await signIn()
await fetch(`${mail}/email/all`, { method: 'DELETE' })
const productIds = await makeProducts()
const { orders, begun, ...measured } = await load(productIds)
say(`load ended: ${measured.sent} sent, ${measured.failures.length} failed, ${orders.length} orders`)
await signIn()
const ended = Date.now()
let lost = await missing(orders, begun)
while (lost.mails.length + lost.notifications.length > 0 && Date.now() - ended < 120_000) {
  await wait(2000)
  lost = await missing(orders, begun)
}
console.log(JSON.stringify({ ...measured, orders: orders.length, lost, deliveredAfterMs: Date.now() - ended }))
