import { createHash } from 'node:crypto'
import type { onSendHookHandler } from 'fastify'

/** A strong entity tag for these bytes (RFC 9110, 8.8.3). */
export const entityTag = (content: string | Buffer): string =>
  `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`

/** Characters of an If-None-Match that are read: a client has one or two tags of a resource. */
const longestList = 1000

/** Whether an If-None-Match names this tag, by weak comparison (RFC 9110, 13.1.2). */
export const namesTag = (header: string | undefined, etag: string): boolean =>
  (header ?? '')
    .slice(0, longestList)
    .split(',')
    .some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))

/**
 * For a route's `onSend`: allows caching with revalidation each time (RFC 9111, 5.2.2.4). For responses that are the same for
 * everybody. Uses the route's own tag, otherwise a hash of the payload.
 */
export const revalidate: onSendHookHandler = (request, reply, payload, done) => {
  if (reply.statusCode !== 200 || (typeof payload !== 'string' && !Buffer.isBuffer(payload))) return done(null, payload)
  const known = reply.getHeader('etag')
  const etag = typeof known === 'string' ? known : entityTag(payload)
  reply.headers({ etag, 'cache-control': 'public, no-cache' })
  // HEAD returns the headers of the whole response.
  if (request.method !== 'GET' || !namesTag(request.headers['if-none-match'], etag)) return done(null, payload)
  reply.code(304).removeHeader('content-type')
  done(null, null)
}
