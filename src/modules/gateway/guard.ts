import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

/** Answers are data: a browser that shows one as a page may load nothing. */
const nothing = { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] }
/** The API reference: its script and its document from here, styles that it writes itself. */
const reference = {
  ...nothing,
  scriptSrc: ["'self'", "'unsafe-inline'"],
  styleSrc: ["'unsafe-inline'"],
  imgSrc: ["'self'", 'data:'],
  fontSrc: ["'self'", 'data:'],
  connectSrc: ["'self'"],
}
const policy = (directives: Record<string, string[]>) => ({ contentSecurityPolicy: { useDefaults: false, directives } })

/** Security headers on every answer, and CORS for the given origins (`*` for any, then without credentials). */
export const guardServer = async (app: FastifyInstance, corsOrigins: readonly string[]): Promise<void> => {
  await app.register(helmet, { global: false, ...policy(nothing) })
  app.addHook('onRequest', async (request, reply) => {
    const isReference = request.routeOptions.url?.startsWith('/docs') ?? false
    await reply.helmet(isReference ? policy(reference) : {})
  })
  if (corsOrigins.length === 0) return
  const any = corsOrigins.includes('*')
  await app.register(cors, {
    origin: any ? '*' : [...corsOrigins],
    credentials: !any,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ['accept-language', 'authorization', 'content-type', 'idempotency-key', 'traceparent', 'x-request-id'],
    exposedHeaders: [
      'content-language',
      'idempotency-replayed',
      'location',
      'retry-after',
      'x-ratelimit-limit',
      'x-ratelimit-remaining',
      'x-ratelimit-reset',
      'x-request-id',
    ],
    maxAge: 600,
    strictPreflight: false,
  })
}
