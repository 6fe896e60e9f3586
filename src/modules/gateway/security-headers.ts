import cors, { type FastifyCorsOptions } from '@fastify/cors'
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import Fastify, { type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { fail } from '../../platform/errors.ts'

/** Responses are data: a browser that shows one as a page may load nothing. */
const nothing = { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] }
/** The API reference: its script and its document from here, and inline styles. */
const reference = {
  ...nothing,
  scriptSrc: ["'self'", "'unsafe-inline'"],
  styleSrc: ["'unsafe-inline'"],
  imgSrc: ["'self'", 'data:'],
  fontSrc: ["'self'", 'data:'],
  connectSrc: ["'self'"],
}
/** Our pages: scripts and styles are files, and scripts may call only this server. */
const own = { ...nothing, scriptSrc: ["'self'"], styleSrc: ["'self'"], imgSrc: ["'self'", 'data:'], connectSrc: ["'self'"] }
/** For pages of old browsers and plugins, or for windows that a page opens: useless on data. */
const forPages = {
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
} as const
const policy = (directives: Record<string, string[]>) => ({ contentSecurityPolicy: { useDefaults: false, directives } })

/** Helmet's headers as data: called for each request, helmet would build all its middleware again. */
const headersOf = async (options: FastifyHelmetOptions) => {
  const bare = Fastify()
  const usual = Object.keys((await bare.inject('/')).headers)
  const app = Fastify()
  await app.register(helmet, options)
  const { headers } = await app.inject('/')
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !usual.includes(name)))
}

/** A dot segment (RFC 3986, 3.3) in any spelling that a proxy or a server behind one resolves. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=$|[/\\;?#]|%2f|%5c|%3b)/i

/** No resource has such a name, and no service should have to interpret it: 404 route.not_found. */
export const dotSegments = fp(
  async (app) => {
    app.addHook('onRequest', ({ url }, _reply, done) => {
      const [path = ''] = url.split(/[?#]/, 1)
      done(dotSegment.test(path) ? fail('route.not_found') : undefined)
    })
  },
  { name: 'dot-segments', dependencies: ['rate-limit'] },
)

/** Sets security headers on every response, and CORS for the given origins (`*` for any, then without credentials). */
export const securityHeaders = fp<{ readonly corsOrigins: readonly string[] }>(
  async (app, { corsOrigins }) => {
    const [data, docs, page] = await Promise.all([
      headersOf({ ...policy(nothing), ...forPages }),
      headersOf(policy(reference)),
      headersOf(policy(own)),
    ])
    Object.assign(app.everyAnswer, data)
    app.addHook('onRequest', ({ routeOptions: { url, config } }, reply, done) => {
      if (config.page) reply.headers(page)
      else if (url?.startsWith('/docs')) reply.headers(docs)
      done()
    })
    if (corsOrigins.length === 0) return
    const any = corsOrigins.includes('*')
    const options: FastifyCorsOptions = {
      origin: any ? '*' : [...corsOrigins],
      credentials: !any,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ['accept-language', 'authorization', 'content-type', 'idempotency-key', 'traceparent', 'x-request-id'],
      exposedHeaders: [
        'content-language',
        'idempotency-replayed',
        'location',
        'retry-after',
        'www-authenticate',
        'x-ratelimit-limit',
        'x-ratelimit-remaining',
        'x-ratelimit-reset',
        'x-request-id',
      ],
      maxAge: 600,
    }
    // Without these two headers it is not a preflight (Fetch, 3.2.2), but a request for the allowed methods.
    const isPreflight = ({ headers }: FastifyRequest) => Boolean(headers.origin && headers['access-control-request-method'])
    await app.register(cors, {
      delegator: (request, done) => done(null, { ...options, preflight: isPreflight(request) }),
    })
  },
  { name: 'security-headers', dependencies: ['connection-cap', 'named-headers'] },
)
