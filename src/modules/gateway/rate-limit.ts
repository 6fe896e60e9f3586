import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { fail } from '../../platform/errors.ts'
import { isProbe } from './probes.ts'

export interface RateLimitOptions {
  /** Requests of one client in a minute; 0 for no limit. */
  readonly perMinute: number
  /** Counts for all gateways together where there is a Redis, for this process alone otherwise. */
  readonly redisUrl: string | undefined
  readonly log: Logger
}

export interface RateLimit {
  register(app: FastifyInstance): Promise<void>
  close(): void
}

/** A connection that gives up quickly: a request is worth more than its being counted. */
const connect = (url: string, log: Logger): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 250,
    // Silent for this long, and the connection is closed: from then on nothing waits for a Redis that hangs.
    socketTimeout: 500,
    connectTimeout: 1000,
    retryStrategy: (attempt) => Math.min(attempt * 100, 1000),
  })
  let away = false
  redis.on('error', (error) => {
    if (!away) log.warn({ err: error }, 'Redis is down: rate limiting is off')
    away = true
  })
  redis.on('ready', () => {
    if (away) log.info('Redis is up: rate limiting is on again')
    away = false
  })
  return redis
}

/** The limit for each client's address (IPv6: its /64), of everything but probes. Answers 429 request.rate_limited with Retry-After. */
export const createRateLimit = ({ perMinute, redisUrl, log }: RateLimitOptions): RateLimit => {
  const redis = perMinute > 0 && redisUrl ? connect(redisUrl, log) : undefined
  return {
    register: async (app) => {
      if (perMinute === 0) return
      await app.register(rateLimit, {
        global: false,
        max: perMinute,
        timeWindow: 60_000,
        cache: 10_000,
        allowList: ({ routeOptions }) => isProbe(routeOptions.url),
        errorResponseBuilder: () => fail('request.rate_limited'),
        skipOnError: true,
        ...(redis ? { redis, nameSpace: 'orderhub:rate-limit:' } : {}),
      })
      // A hook of the server, and not of its routes, also sees what matches none.
      app.addHook('onRequest', app.rateLimit())
    },
    close: () => redis?.disconnect(),
  }
}
