import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { traceHeaders, traceIdOf } from '../../platform/context.ts'
import { withVary } from '../../platform/http/problem.ts'

/** Hop-by-hop headers, never forwarded (RFC 9110, 7.6.1). `Connection` can name more. */
const hopByHop = [
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
/**
 * The client headers that are forwarded to a service. An allowlist, because proxies and meshes have countless names for
 * authenticated users. `host`, the body's length, and the gateway's own headers are added.
 */
export const passedOn: readonly string[] = [
  'accept',
  'accept-language',
  'content-encoding',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'traceparent',
  'tracestate',
  'user-agent',
]
/** Headers that the gateway itself reads, besides these: connection, body, identity, browsers, its own pages, trusted proxies. */
const ofTheEdge: readonly string[] = [
  'accept-encoding',
  'access-control-request-headers',
  'access-control-request-method',
  'authorization',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-modified-since',
  'if-range',
  'origin',
  'range',
  'transfer-encoding',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]
const named = new Set([...passedOn, ...ofTheEdge])

const namesIn = (list: unknown): string[] =>
  String(list ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())

/**
 * Removes every other header from a request, and its hop-by-hop headers (RFC 9110, 7.6.1), so that a module sees the same headers
 * in this process as behind it. Calls between modules have their own headers.
 */
export const namedHeaders = fp(
  async (app) => {
    app.addHook('onRequest', ({ raw: { headers }, routeOptions: { url } }, _reply, done) => {
      if (url?.startsWith('/internal/')) return done()
      for (const name of Object.keys(headers)) if (!named.has(name)) delete headers[name]
      for (const name of namesIn(headers.connection)) if (passedOn.includes(name)) delete headers[name]
      done()
    })
  },
  { name: 'named-headers', dependencies: ['request-context'] },
)

/** The client headers for a service. `host` and the body's length are already those of the new request. */
export const upstreamHeaders = (request: FastifyRequest, headers: IncomingHttpHeaders): IncomingHttpHeaders => {
  const { traceparent, requestId } = request.call
  const kept: IncomingHttpHeaders = Object.fromEntries(
    ['host', 'content-length', ...passedOn].flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  )
  delete kept.traceparent
  // The state belongs to the trace that it came with (W3C Trace Context, 3.3).
  if (!request.headers.traceparent?.toString().includes(traceIdOf(traceparent))) delete kept.tracestate
  return {
    ...kept,
    ...(request.serviceToken === undefined ? {} : { authorization: `Bearer ${request.serviceToken}` }),
    ...traceHeaders(traceparent),
    'x-request-id': requestId,
    // Nearest hop first in `ips`, last in the header.
    'x-forwarded-for': (request.ips ?? [request.ip]).toReversed().join(', '),
    'x-forwarded-host': request.host,
    'x-forwarded-proto': request.protocol,
  }
}

/** The headers of a service's response for the client; `ownVary` is the `Vary` of this response so far. */
export const clientHeaders = (headers: IncomingHttpHeaders, ownVary?: unknown): IncomingHttpHeaders => {
  const ofConnection = [...hopByHop, ...namesIn(headers.connection)]
  const kept: IncomingHttpHeaders = Object.fromEntries(Object.entries(headers).filter(([name]) => !ofConnection.includes(name)))
  return ownVary && kept.vary ? { ...kept, vary: withVary(ownVary, kept.vary) } : kept
}
