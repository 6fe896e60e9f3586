import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { continueTrace, traceIdOf } from '../context.ts'
import { Failure, fail, textsOf } from '../errors.ts'
import { type FieldError, fieldErrors } from '../field-errors.ts'
import { newUuid } from '../ids.ts'
import { defaultLocale, inLocale, type Locale, localeOf } from '../locales.ts'
import type { Problem } from '../schema.ts'
import { malformed, reasons } from './malformed.ts'

/** Any thrown error as a coded error. */
export const toFailure = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  const { validation, validationContext, statusCode, code } = error as Partial<FastifyError>
  if (validation) {
    const found = fieldErrors(validation as never).map(({ field, message }) => ({
      field: `/${validationContext}${field === '/' ? '' : field}`,
      message,
    }))
    return fail('request.invalid', { errors: found }, error)
  }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE' || statusCode === 413) return fail('request.too_large', {}, error)
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || statusCode === 415) return fail('request.unsupported_media_type', {}, error)
  if (statusCode === 429) return fail('request.rate_limited', {}, error)
  if (statusCode === 404) return fail('route.not_found', {}, error)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return code === 'FST_ERR_BAD_URL' ? malformed(reasons.address, error) : fail('request.malformed', {}, error)
  return fail('internal', {}, error)
}

/** An error's facts for the reader: which field has which error, in their language. */
const factsOf = ({ details }: Failure, locale: Locale): Readonly<Record<string, unknown>> => {
  const facts = Object.fromEntries(Object.entries(details).map(([name, fact]) => [name, inLocale(fact, locale)]))
  if (!Array.isArray(facts.errors)) return facts
  return {
    ...facts,
    errors: facts.errors.map(({ field, message }: FieldError) => ({ field, message: inLocale(message, locale) })),
  }
}

/** The response's body (RFC 9457). A 5xx reveals nothing internal. */
export const problemOf = (failure: Failure, locale: Locale, traceparent: string): Problem => {
  const { code, kind, status } = failure
  const details = factsOf(failure, locale)
  return {
    ...(status < 500 ? details : {}),
    type: `urn:orderhub:error:${code}`,
    ...textsOf({ kind, details }, locale),
    status,
    success: false,
    code,
    trace_id: traceIdOf(traceparent),
  }
}

/** A list header's value with one more field name. */
export const withVary = (vary: unknown, name: string): string => {
  const names = String(vary ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  return names.some((each) => each === '*' || each.toLowerCase() === name.toLowerCase())
    ? names.join(', ')
    : [...names, name].join(', ')
}

/** Headers of a translated text, which caches must not reuse for other languages. */
const inLanguage = (locale: Locale, vary: unknown) => ({
  'content-language': locale,
  vary: withVary(vary, 'Accept-Language'),
  'cache-control': 'no-store',
})

/** The second: step-up authentication is needed (RFC 9470, 3). */
const challenges: Readonly<Record<string, string>> = {
  'auth.invalid_token': 'invalid_token',
  'auth.reauthentication_required': 'insufficient_user_authentication',
}

/** How to authenticate with a token (RFC 6750, 3), on every 401 (RFC 9110, 15.5.2). */
const challengeOf = ({ code }: Failure): string => {
  const error = challenges[code]
  return `Bearer realm="orderhub"${error === undefined ? '' : `, error="${error}"`}`
}

export const sendProblem = (failure: Failure, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  request.failureCode = failure.code
  if (failure.status === 401) reply.header('www-authenticate', challengeOf(failure))
  const locale = localeOf(request.headers['accept-language'])
  const { retry_after = failure.status === 503 ? 1 : undefined } = failure.details
  if (retry_after !== undefined && !reply.hasHeader('retry-after')) reply.header('retry-after', String(retry_after))
  return reply
    .code(failure.status)
    .type('application/problem+json; charset=utf-8')
    .headers(inLanguage(locale, reply.getHeader('vary')))
    .send(JSON.stringify(problemOf(failure, locale, request.call.traceparent)))
}

/** Responds to what the HTTP parser could not read, for which there is no request: the same problem, written by hand. */
export const answerUnreadable = (
  error: Error & { code?: string },
  socket: Socket,
  everyAnswer: Readonly<Record<string, string>> = {},
): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const codes = { HPE_HEADER_OVERFLOW: 'request.headers_too_large', ERR_HTTP_REQUEST_TIMEOUT: 'request.timeout' } as const
  const failure = fail(codes[error.code as keyof typeof codes] ?? 'request.malformed')
  const body = JSON.stringify(problemOf(failure, defaultLocale, continueTrace()))
  const headers = {
    ...everyAnswer,
    'x-request-id': newUuid(),
    'content-type': 'application/problem+json; charset=utf-8',
    ...inLanguage(defaultLocale, undefined),
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end([`HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status]}`, ...lines, '', body].join('\r\n'))
  // Such a client may not close its side either.
  setTimeout(() => socket.destroy(), 1000).unref()
}
