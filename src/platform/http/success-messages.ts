import type { FastifyInstance, FastifySchema } from 'fastify'
import type { TObject, TSchema } from 'typebox'
import type { LocalizedText } from '../errors.ts'
import { localeOf } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a success of this route says to a person, in their language. */
    message?: LocalizedText
  }
}

/** The schema of an answer that has the message. */
const withMessage = (schema: TObject, message: LocalizedText): object => ({
  ...schema,
  required: [...new Set([...(schema.required ?? []), 'message'])],
  properties: {
    ...schema.properties,
    message: { type: 'string', description: 'for people, by `Accept-Language`', examples: Object.values(message) },
  },
})

/** Adds `message` to the successes of every route registered after it whose config names one. */
export const addSuccessMessages = (app: FastifyInstance): void => {
  app.addHook('onRoute', ({ config, schema }) => {
    if (!config?.message || !schema) return
    const { message } = config
    const responses = Object.entries((schema.response ?? {}) as Record<string, TSchema>)
    schema.response = Object.fromEntries(
      responses.map(([status, answer]) => [status, status.startsWith('2') ? withMessage(answer as TObject, message) : answer]),
    ) as FastifySchema['response']
  })
  app.addHook('preSerialization', (request, reply, payload, done) => {
    const { message } = request.routeOptions.config
    if (!message) return done(null, payload)
    const locale = localeOf(request.headers['accept-language'])
    // With which `Vary` goes, as on every answer.
    reply.header('content-language', locale)
    done(null, { ...(payload as object), message: message[locale] })
  })
}
