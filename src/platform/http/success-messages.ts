import type { FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import type { TObject, TSchema } from 'typebox'
import { type LocalizedText, localeOf } from '../locales.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The success message of this route, in every language. */
    message?: LocalizedText
  }
}

/** The schema of a response that has the message. */
const withMessage = (schema: TObject, message: LocalizedText): object => ({
  ...schema,
  required: [...new Set([...(schema.required ?? []), 'message'])],
  properties: {
    ...schema.properties,
    message: { type: 'string', description: 'for people, by `Accept-Language`', examples: Object.values(message) },
  },
})

/** Adds `message` to the successful responses of every route that is registered afterwards and whose config names one. */
export const successMessages = fp(
  async (app) => {
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
      // Sets `Vary`, as on every translated response.
      reply.header('content-language', locale)
      done(null, { ...(payload as object), message: message[locale] })
    })
  },
  { name: 'success-messages' },
)
