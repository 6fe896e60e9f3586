import rateLimit from '@fastify/rate-limit'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { fail } from '../../platform/errors.ts'
import { isProbe } from './probes.ts'

export interface RateLimitOptions {
  /** Requests per client and minute; 0 for no limit. */
  readonly perMinute: number
  /** With Redis, all gateways share the counters; otherwise each process has its own. */
  readonly redisUrl: string | undefined
  readonly log: Logger
}

export interface RateLimit {
  readonly plugin: FastifyPluginAsync
  close(): void
}

/** Give up quickly: serving a request matters more than counting it. */
const connect = (url: string, log: Logger): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 250,
    // A connection that is silent for this long is closed: nothing waits for a Redis that hangs.
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

/** Limits requests per client address (IPv6: per /64), except probes. Returns 429 request.rate_limited with Retry-After. */
export const createRateLimit = ({ perMinute, redisUrl, log }: RateLimitOptions): RateLimit => {
  const redis = perMinute > 0 && redisUrl ? connect(redisUrl, log) : undefined
  const plugin = fp(
    async (app) => {
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
      // A hook of the server, not of its routes, so that unknown paths count too.
      app.addHook('onRequest', app.rateLimit())
    },
    // A browser must be able to read refusals too.
    { name: 'rate-limit', dependencies: ['security-headers'] },
  )
  return {
    plugin,
    close: () => redis?.disconnect(),
  }
}
