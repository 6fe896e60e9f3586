import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import client from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import metricsPlugin from 'fastify-metrics'
import { singleFlight } from '../concurrency/single-flight.ts'

/** A process's own metrics, in Prometheus' text format on a separate port. */
export interface Metrics {
  /** A module's outbox, by subscriber: committed events that are not yet seen delivered. */
  outbox(module: string, read: () => Promise<readonly { queue: string; depth: number; ageSeconds: number }[]>): void
  /** The jobs of a queue by state, and for how many seconds its consumer has been stuck. */
  queue(queue: string, counts: () => Promise<Record<string, number>>, stuckSeconds: () => Promise<number>): void
  /** Events that a consumer gave up on. */
  deadLetters(module: string, count: () => Promise<number>): void
  /** The messages of a channel that are still to be sent, as a queue of their own. */
  messages(channel: string, read: () => Promise<{ depth: number; ageSeconds: number }>): void
  /** A module's own gauge, read at each scrape. */
  gauge(name: string, help: string, read: () => Promise<number>): void
  /** A counter; returns the function that increments it. */
  counter(name: string, help: string): () => void
  observePoolWait(database: string, seconds: number): void
  /** Measures every request of the server: http_requests_total and http_request_duration_seconds{method,route,status}. */
  instrument(app: FastifyInstance): Promise<void>
  text(): Promise<string>
}

interface Sample {
  readonly metricName?: string
  readonly labels: Record<string, string>
  readonly value: number
}

/** Reads values at each scrape; a failed read leaves them out. */
type Reader = () => Promise<readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[]>

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export const createMetrics = (): Metrics => {
  const registry = new client.Registry()
  client.collectDefaultMetrics({ register: registry })
  const poolWait = new client.Histogram({
    name: 'db_pool_wait_seconds',
    help: 'time that a statement waited for a connection',
    labelNames: ['database'],
    buckets,
    registers: [registry],
  })
  const requests = new client.Counter({
    name: 'http_requests_total',
    help: 'responses sent',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
    // The histogram counts already: read from it at each scrape.
    collect: async () => {
      const histogram = await registry.getSingleMetric('http_request_duration_seconds')?.get()
      requests.reset()
      for (const { metricName, labels, value } of (histogram?.values ?? []) as readonly Sample[]) {
        if (metricName?.endsWith('_count')) requests.inc(labels, value)
      }
    },
  })
  const readAtScrape = (name: string, help: string, labelNames: readonly string[]) => {
    const readers: Reader[] = []
    const gauge = new client.Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect: async () => {
        const values = await Promise.all(readers.map((read) => read().catch(() => [])))
        gauge.reset()
        for (const { labels, value } of values.flat()) gauge.set(labels, value)
      },
    })
    return (reader: Reader) => readers.push(reader)
  }
  const addDepth = readAtScrape('outbox_depth', 'events committed and not yet seen delivered to a subscriber', [
    'module',
    'queue',
  ])
  const addAge = readAtScrape('outbox_oldest_seconds', 'age of the oldest event that a subscriber has not yet taken', [
    'module',
    'queue',
  ])
  const addQueue = readAtScrape('queue_depth', 'jobs of a subscriber by state', ['queue', 'state'])
  const addStuck = readAtScrape('queue_consumer_stuck_seconds', 'for how long a consumer took nothing while jobs wait', ['queue'])
  const addMessageAge = readAtScrape('messages_oldest_seconds', 'age of the oldest message that is still to be sent', ['channel'])
  const addDeadLetters = readAtScrape('dead_letters', 'events that a consumer gave up on', ['module'])

  return {
    outbox: (module, read) => {
      // One query for both, which are read at the same moment.
      const look = singleFlight(read)
      const sample = (value: 'depth' | 'ageSeconds') => async () =>
        (await look()).map((backlog) => ({ labels: { module, queue: backlog.queue }, value: backlog[value] }))
      addDepth(sample('depth'))
      addAge(sample('ageSeconds'))
    },
    queue: (queue, counts, stuckSeconds) => {
      addStuck(async () => [{ labels: { queue }, value: await stuckSeconds() }])
      addQueue(async () => Object.entries(await counts()).map(([state, value]) => ({ labels: { queue, state }, value })))
    },
    deadLetters: (module, count) => {
      addDeadLetters(async () => [{ labels: { module }, value: await count() }])
    },
    messages: (channel, read) => {
      const look = singleFlight(read)
      addQueue(async () => [{ labels: { queue: `notification-${channel}`, state: 'waiting' }, value: (await look()).depth }])
      addMessageAge(async () => [{ labels: { channel }, value: (await look()).ageSeconds }])
    },
    gauge: (name, help, read) => {
      readAtScrape(name, help, [])(async () => [{ labels: {}, value: await read() }])
    },
    counter: (name, help) => {
      const counter = new client.Counter({ name, help, registers: [registry] })
      return () => counter.inc()
    },
    observePoolWait: (database, seconds) => poolWait.observe({ database }, seconds),
    instrument: async (app) => {
      await app.register(metricsPlugin.default, {
        endpoint: null,
        promClient: client as never,
        defaultMetrics: { enabled: false },
        routeMetrics: {
          enabled: { histogram: true, summary: false },
          registeredRoutesOnly: false,
          invalidRouteGroup: '(unknown)',
          overrides: {
            labels: { method: 'method', route: 'route', status: 'status' },
            histogram: {
              name: 'http_request_duration_seconds',
              help: 'time to the last byte of an answer',
              buckets,
              registers: [registry],
            },
            summary: { registers: [registry] },
          },
        },
      })
    },
    text: () => registry.metrics(),
  }
}

export interface MetricsServer {
  /** Starts to listen, once. @returns the port */
  listen(host: string, port: number): Promise<number>
  close(): Promise<void>
}

/** GET /metrics on its own port, so that no public route exposes it. */
export const createMetricsServer = (metrics: Metrics): MetricsServer => {
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    try {
      const text = await metrics.text()
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
    } catch {
      response.writeHead(500).end()
    }
  })
  return {
    listen: async (host, port) => {
      if (!server.listening) {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject)
          server.listen(port, host, resolve)
        })
      }
      return (server.address() as AddressInfo).port
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
