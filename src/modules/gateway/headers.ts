import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { traceHeaders, traceIdOf } from '../../platform/context.ts'
import { withVary } from '../../platform/problem.ts'

/** Of one connection, never passed on (RFC 9110, 7.6.1); `Connection` names more of them. `Expect` is answered here. */
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
 * Who the client is and what it may do is for us to say, whatever it says itself: our own headers, and those by which
 * proxies and meshes name whom they have authenticated.
 */
const ours =
  /^(authorization|forwarded|remote-user|x-(forwarded|orderhub|user|auth|authenticated|remote|client|real|original|ssl)(-.+)?|(x-(amzn-oidc|goog-(authenticated|iap)|ms-client)|cf-access|ssl)-.+)$/

const without = (headers: IncomingHttpHeaders, dropped: (name: string) => boolean): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped(name)))

/** What a service is to see of a client's headers. `host` and the body's length are already those of the new request. */
export const upstreamHeaders = (request: FastifyRequest, headers: IncomingHttpHeaders): IncomingHttpHeaders => {
  const { traceparent, requestId } = request.call
  const kept = without(
    headers,
    (name) => hopByHop.includes(name) || name === 'traceparent' || ours.test(name.replaceAll('_', '-')),
  )
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

/** What a client is to see of a service's headers; `ownVary` is what this answer's `Vary` says already. */
export const clientHeaders = (headers: IncomingHttpHeaders, ownVary?: unknown): IncomingHttpHeaders => {
  const named = String(headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  const kept = without(headers, (name) => hopByHop.includes(name) || named.includes(name))
  return ownVary && kept.vary ? { ...kept, vary: withVary(ownVary, kept.vary) } : kept
}
