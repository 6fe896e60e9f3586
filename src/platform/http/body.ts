import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { fail } from '../errors.ts'
import { scanJson } from './json-scan.ts'
import { schedule } from './long-requests.ts'
import { malformed, reasons } from './malformed.ts'

/** Bytes; a route with larger bodies sets its limit in its module's contract. */
export const defaultBodyLimit = 16 * 1024

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Maximum JSON values in a body, if more than in `jsonLimits`. */
    mostValues?: number
  }
}

type Done = (error: Error | null, body?: unknown) => void

/** Parses the scanned JSON of a request's body. */
export type TakeJson = (request: FastifyRequest, text: string, bytes: Buffer, done: Done) => void

/** JSON between systems is UTF-8 (RFC 8259, 8.1); the type has no charset parameter. */
const otherCharset = /;\s*charset\s*=\s*(?!"?utf-?8"?\s*(;|$))/i

const withoutMark = (bytes: Buffer): Buffer =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

/** Refused before a byte of it is read. */
const checkHeaders = ({ headers }: FastifyRequest, isJson: boolean): void => {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw fail('request.unsupported_encoding')
  if (!isJson) throw fail('request.unsupported_media_type')
  if (otherCharset.test(headers['content-type'] ?? '')) throw fail('request.unsupported_charset')
}

/** @throws Failure request.malformed with the reason, request.invalid_text */
const readText = (bytes: Buffer, mostValues: number | undefined): string => {
  if (!isUtf8(bytes)) throw malformed(reasons.notUtf8)
  // A byte order mark may be ignored (RFC 8259, 8.1), and some clients write one.
  const text = withoutMark(bytes).toString('utf8')
  scanJson(text, mostValues)
  return text
}

/**
 * Accepts no body at all, with any type, or JSON in UTF-8. In front of other services the same as there. @throws Failure
 * request.unsupported_encoding, request.unsupported_media_type, request.unsupported_charset, request.malformed,
 * request.invalid_text, service.busy if too many long ones wait
 */
export const takeBodies = (app: FastifyInstance, take: TakeJson): void => {
  const parser = (isJson: boolean) => (request: FastifyRequest, bytes: Buffer, done: Done) => {
    // An unknown route has no body to validate.
    if (request.is404 || bytes.length === 0) return done(null, undefined)
    // With `done` Fastify validates the body in the same iteration.
    const read = () => {
      try {
        take(request, readText(bytes, request.routeOptions.config.mostValues), bytes, done)
      } catch (failure) {
        done(failure as Error)
      }
    }
    try {
      checkHeaders(request, isJson)
    } catch (failure) {
      return done(failure as Error)
    }
    schedule(app, request, bytes.length, read, done)
  }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, parser(true))
  app.addContentTypeParser('*', { parseAs: 'buffer' }, parser(false))
}

/** Parses JSON bodies. */
export const jsonBodies = fp(
  async (app) => {
    const parseJson = app.getDefaultJsonParser('error', 'error')
    takeBodies(app, (request, text, _bytes, done) =>
      parseJson(request, text, (error, value) => (error ? done(malformed(reasons.notJson, error)) : done(null, value))),
    )
  },
  { name: 'json-bodies', dependencies: ['long-requests'] },
)

/** Maximum body size in bytes of the routes that are registered afterwards, by route, such as `POST /api/v1/orders`. */
export const bodyLimits = fp<{ readonly limits: Readonly<Record<string, number>> }>(
  async (app, { limits }) => {
    app.addHook('onRoute', (route) => {
      const limit = limits[`${route.method} ${route.url}`]
      if (limit !== undefined) route.bodyLimit ??= limit
    })
  },
  { name: 'body-limits' },
)
