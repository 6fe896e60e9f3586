import { setTimeout as wait } from 'node:timers/promises'
import { Agent, type Dispatcher, request } from 'undici'

export interface Outcome {
  readonly status: number
  readonly body: string
}

export interface Balancer {
  /** Sends one request over a kept-alive connection to a ready gateway, round robin. */
  send(
    path: string,
    options?: { method?: Dispatcher.HttpMethod; body?: object; headers?: Record<string, string> },
  ): Promise<Outcome>
  /** Whether every gateway is ready: only then does a rollout continue. */
  complete(): boolean
  close(): Promise<void>
}

/** A client behind a load balancer: it uses a gateway while its /health/ready is 200, and keeps its connections open. */
export const createBalancer = async (urls: readonly string[]): Promise<Balancer> => {
  const agent = new Agent({ connections: 32, keepAliveTimeout: 30_000 })
  const probes = new Agent({ connections: 2 })
  const ready = new Set<string>()
  const stop = new AbortController()
  const probe = async (url: string) => {
    const { statusCode, body } = await request(`${url}/health/ready`, { dispatcher: probes, reset: true }).catch(() => ({
      statusCode: 0,
      body: undefined,
    }))
    await body?.dump()
    if (statusCode === 200) ready.add(url)
    else ready.delete(url)
  }
  await Promise.all(urls.map(probe))
  const running = urls.map(async (url) => {
    while (!stop.signal.aborted) {
      await wait(150, undefined, { signal: stop.signal }).catch(() => {})
      await probe(url)
    }
  })

  let turn = 0
  return {
    send: async (path, { method = 'GET', body, headers = {} } = {}) => {
      const usable = [...ready]
      turn += 1
      const origin = usable[turn % usable.length]
      if (origin === undefined) throw new Error('no gateway is ready')
      const answer = await request(origin + path, {
        dispatcher: agent,
        method,
        headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      return { status: answer.statusCode, body: await answer.body.text() }
    },
    complete: () => ready.size === urls.length,
    close: async () => {
      stop.abort()
      await Promise.all(running)
      await Promise.all([agent.close(), probes.close()])
    },
  }
}

export interface Load {
  /** Number of responses by status. */
  readonly answers: Readonly<Record<number, number>>
  /** Errors: how often, and when first and last, in milliseconds since the start. */
  readonly failures: Readonly<Record<string, { count: number; first: number; last: number }>>
  readonly perSecond: number
}

/** Limits the requests in flight: a busy machine gets fewer requests instead of a growing queue. */
const mostOpen = 64

/** Starts `rate` requests per second, without waiting for earlier ones; `stop` waits for the responses. */
export const startLoad = (rate: number, send: (n: number) => Promise<Outcome>): { stop(): Promise<Load> } => {
  const answers: Record<number, number> = {}
  const failures: Record<string, { count: number; first: number; last: number }> = {}
  const open = new Set<Promise<void>>()
  const began = performance.now()
  let count = 0

  const note = (failure: string) => {
    const at = Math.round(performance.now() - began)
    const known = failures[failure] ?? { count: 0, first: at, last: at }
    failures[failure] = { ...known, count: known.count + 1, last: at }
  }
  const one = async (n: number) => {
    try {
      const { status, body } = await send(n)
      answers[status] = (answers[status] ?? 0) + 1
      if (status >= 400) note(`${status} ${/"code":"[^"]*"/.exec(body)?.[0] ?? body.slice(0, 200)}`)
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      note(`${code ?? ''} ${message}`)
    }
  }
  let due = 0
  const timer = setInterval(() => {
    const wanted = ((performance.now() - began) / 1000) * rate
    for (; due < wanted; due++) {
      if (open.size >= mostOpen) continue
      const work = one(count++)
      open.add(work)
      void work.finally(() => open.delete(work))
    }
  }, 5)
  return {
    stop: async () => {
      clearInterval(timer)
      const seconds = (performance.now() - began) / 1000
      await Promise.all(open)
      return { answers, failures, perSecond: count / seconds }
    },
  }
}
