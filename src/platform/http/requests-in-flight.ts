import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

export interface RequestsInFlight {
  readonly plugin: FastifyPluginAsync
  count(): number
}

/**
 * The number of requests in progress in this process: from when their body is read until their response begins. A request whose
 * client still sends, or reads slowly, uses no CPU.
 */
export const createRequestsInFlight = (): RequestsInFlight => {
  const inFlight = new Set<object>()
  const plugin = fp(
    async (app) => {
      app.addHook('onRequest', ({ raw }, reply, done) => {
        inFlight.add(raw)
        reply.raw.once('close', () => inFlight.delete(raw))
        done()
      })
      app.addHook('preParsing', ({ raw }, _reply, _payload, done) => {
        if (raw.headers['content-length'] || raw.headers['transfer-encoding']) inFlight.delete(raw)
        done()
      })
      app.addHook('preValidation', ({ raw }, reply, done) => {
        if (!reply.raw.closed) inFlight.add(raw)
        done()
      })
      app.addHook('onSend', ({ raw }, _reply, _payload, done) => {
        inFlight.delete(raw)
        done()
      })
    },
    { name: 'requests-in-flight', dependencies: ['request-context'] },
  )
  return { plugin, count: () => inFlight.size }
}
