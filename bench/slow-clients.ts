/** Measures the cost of clients that do not read or send too many requests: memory, stalls, deliveries, duration of a shutdown. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Pool } from 'undici'
import { watchOrders } from './database.ts'
import { type Product, startOne, startTogether } from './product.ts'

type Env = Record<string, string>

/** A row of the table: what is measured, and the result. */
type Figure = readonly [what: string, result: string]

const mebibyte = 1024 * 1024
const patienceMs = 100_000

const open = (product: Product, text: string): Socket => {
  const { hostname, port } = new URL(product.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  socket.write(text)
  return socket
}

/** Requests the script of the API reference, the longest response without a token, and does not read it. */
const unread = async (product: Product, clients: number, requests = 1): Promise<Socket[]> => {
  const page = await (await fetch(`${product.url}/docs/`)).text()
  const script = /src="(js\/[^"]+)"/.exec(page)?.[1]
  const request = `GET /docs/${script} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n`
  const sockets = Array.from({ length: clients }, () => open(product, request.repeat(requests)))
  await Promise.all(sockets.map((socket) => once(socket, 'readable')))
  return sockets
}

const resident = async (product: Product) =>
  Object.values(await product.memory()).reduce((sum, bytes) => sum + bytes, 0) / mebibyte

/** @returns seconds until the server has closed all connections; undefined if it has not */
const untilClosed = async (sockets: readonly Socket[]): Promise<number | undefined> => {
  const start = performance.now()
  while (performance.now() - start < patienceMs) {
    // A paused socket does not notice that it was closed; a write does.
    for (const socket of sockets) if (!socket.destroyed) socket.write('\r\n')
    if (sockets.every(({ destroyed }) => destroyed)) return (performance.now() - start) / 1000
    await wait(250)
  }
  return undefined
}
const inSeconds = (seconds: number | undefined) =>
  seconds === undefined ? `not in ${patienceMs / 1000} s` : `after ${seconds.toFixed(0)} s`

const memoryOf = async (env: Env): Promise<Figure[]> => {
  const product = await startTogether(env)
  try {
    await (await unread(product, 1))[0]?.destroy()
    const rows: Figure[] = []
    for (const [clients, requests] of [
      [60, 1],
      [60, 50],
    ] as const) {
      const before = await resident(product)
      const sockets = await unread(product, clients, requests)
      await wait(3000)
      const grown = (await resident(product)) - before
      const closed = await untilClosed(sockets)
      for (const socket of sockets) socket.destroy()
      rows.push([`${clients} clients that do not read, ${requests} requests each: memory`, `${grown.toFixed(0)} MiB more`])
      rows.push([`… until their connections are closed`, inSeconds(closed)])
    }
    return rows
  } finally {
    await product.stop()
  }
}

const probesOf = async (env: Env, headers: Record<string, string>): Promise<Figure[]> => {
  const product = await startTogether({ ...env, CONNECTIONS_PER_CLIENT: '0' })
  const crowd = new Pool(product.url, { connections: 800, pipelining: 1 })
  try {
    const end = performance.now() + 6000
    const statuses = new Map<number, number>()
    let longest = 0
    let probes = 0
    const probing = Array.from({ length: 800 }, async () => {
      while (performance.now() < end) {
        const { body } = await crowd.request({ method: 'GET', path: '/health/ready' })
        await body.dump()
        probes++
      }
    })
    await wait(500)
    for (let n = 0; performance.now() < end; n++) {
      const started = performance.now()
      const body = JSON.stringify({ user_id: 1, items: [{ product_id: 1, quantity: 1 }] })
      const answer = await fetch(`${product.url}/api/v1/${n % 2 ? 'orders' : 'products/1'}`, {
        ...(n % 2 ? { method: 'POST', body } : {}),
        headers: { ...headers, 'content-type': 'application/json' },
      })
      await answer.arrayBuffer()
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      longest = Math.max(longest, performance.now() - started)
      await wait(50)
    }
    await Promise.all(probing)
    const counts = [...statuses].map(([status, count]) => `${count} with ${status}`).join(', ')
    return [
      [`800 connections request /health/ready for 6 s (${probes} responses): reads and orders meanwhile`, counts],
      ['… the longest of these', `${longest.toFixed(0)} ms`],
    ]
  } finally {
    await crowd.destroy()
    await product.stop()
  }
}

const deliveriesOf = async (env: Env, headers: Record<string, string>): Promise<Figure[]> => {
  const product = await startTogether(env)
  const orders = watchOrders(env.DATABASE_URL as string)
  try {
    const body = JSON.stringify({ user_id: 1, items: [{ product_id: 1, quantity: 1 }] })
    const orderAndDeliver = async (): Promise<number> => {
      const client = new Pool(product.url, { connections: 10, pipelining: 1 })
      const send = () =>
        client.request({
          method: 'POST',
          path: '/api/v1/orders',
          headers: { ...headers, 'content-type': 'application/json' },
          body,
        })
      const start = performance.now()
      for (let n = 0; n < 40; n++) await Promise.all(Array.from({ length: 10 }, async () => (await send()).body.dump()))
      await orders.drain()
      await client.destroy()
      return (performance.now() - start) / 1000
    }
    await orderAndDeliver()
    const alone = await orderAndDeliver()
    const sockets = await unread(product, 3, 10)
    const beside = await orderAndDeliver()
    for (const socket of sockets) socket.destroy()
    return [
      ['400 orders: time from the first request until all events are delivered', `${alone.toFixed(1)} s`],
      ['… with 3 clients that do not read', `${beside.toFixed(1)} s`],
    ]
  } finally {
    await orders.close()
    await product.stop()
  }
}

const stopOf = async (env: Env): Promise<Figure[]> => {
  const product = await startTogether(env)
  const sockets = await unread(product, 1, 10)
  const start = performance.now()
  const [status] = await product.stop()
  for (const socket of sockets) socket.destroy()
  return [
    ['shutdown with a client that does not read', `${((performance.now() - start) / 1000).toFixed(1)} s, exit status ${status}`],
  ]
}

const downloadOf = async (env: Env): Promise<Figure[]> => {
  const size = 13 * mebibyte
  const service = createServer((request, response) => response.end(request.url?.startsWith('/health') ? '' : Buffer.alloc(size)))
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  const origin = `http://127.0.0.1:${(service.address() as AddressInfo).port}`
  const urls = Object.fromEntries(
    ['USER', 'PRODUCT', 'ORDER', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_SERVICE_URL`, origin]),
  )
  const gateway = await startOne('gateway', { KEYS_DIR: env.KEYS_DIR as string, AUTH: 'off', ...urls })
  try {
    const socket = open(gateway, 'GET /api/v1/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    const start = performance.now()
    let bytes = 0
    for await (const chunk of socket) {
      bytes += chunk.length
      await wait(Math.max(0, bytes / 400 - (performance.now() - start)))
    }
    const seconds = (performance.now() - start) / 1000
    return [
      [
        `13 MiB through the gateway at 400 kB/s`,
        `${bytes >= size ? 'whole' : `cut at ${(bytes / mebibyte).toFixed(1)} MiB`}, ${seconds.toFixed(0)} s`,
      ],
    ]
  } finally {
    await gateway.stop()
    service.closeAllConnections()
    service.close()
  }
}

const headsOf = async (env: Env): Promise<Figure[]> => {
  const product = await startTogether(env)
  try {
    const socket = open(product, 'GET / HTTP/1.1\r\n')
    const start = performance.now()
    const sending = setInterval(() => socket.write('X-A: 1\r\n'), 1000)
    socket.resume()
    await Promise.race([once(socket, 'close'), wait(patienceMs)])
    clearInterval(sending)
    return [['a head that never ends: closed', `after ${((performance.now() - start) / 1000).toFixed(0)} s`]]
  } finally {
    await product.stop()
  }
}

export interface SlowOptions {
  readonly env: Env
  /** Headers of a person who may place orders. */
  readonly headers: Record<string, string>
  readonly chosen: (name: string) => boolean
}

/** @returns a Markdown table */
export const measureSlowClients = async ({ env, headers, chosen }: SlowOptions): Promise<string> => {
  const measures: Record<string, () => Promise<Figure[]>> = {
    memory: () => memoryOf(env),
    probes: () => probesOf(env, headers),
    deliveries: () => deliveriesOf(env, headers),
    stop: () => stopOf(env),
    download: () => downloadOf(env),
    heads: () => headsOf(env),
  }
  const rows: Figure[] = []
  for (const [name, measure] of Object.entries(measures)) {
    if (!chosen(name)) continue
    rows.push(...(await measure()))
    process.stderr.write(`${name}: measured\n`)
  }
  return ['| what | result |', '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`), ''].join('\n')
}
