import type { FastifyInstance } from 'fastify'
import type { KeyStore } from '../keys/key-store.ts'

/** Shorter than the time for which a new key is published before it signs. */
const keptSeconds = 60

/** The public keys of access tokens (RFC 7517), for third parties that verify them. */
export const jwksRoutes = (app: FastifyInstance, keys: KeyStore): void => {
  app.get('/.well-known/jwks.json', { schema: { hide: true } }, (_request, reply) =>
    reply
      .type('application/jwk-set+json')
      .header('cache-control', `public, max-age=${keptSeconds}`)
      .send(JSON.stringify(keys.published('access-token'))),
  )
}
