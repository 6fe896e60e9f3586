import type { FastifyInstance } from 'fastify'

/**
 * How many requests this process is at work on: from when their body is read until their answer begins. One whose client still
 * sends, or reads slowly, takes nothing from others. To be called before any hook that takes time.
 */
export const countRequests = (app: FastifyInstance): (() => number) => {
  const underWay = new Set<object>()
  app.addHook('onRequest', ({ raw }, reply, done) => {
    underWay.add(raw)
    reply.raw.once('close', () => underWay.delete(raw))
    done()
  })
  app.addHook('preParsing', ({ raw }, _reply, _payload, done) => {
    if (raw.headers['content-length'] || raw.headers['transfer-encoding']) underWay.delete(raw)
    done()
  })
  app.addHook('preValidation', ({ raw }, reply, done) => {
    if (!reply.raw.closed) underWay.add(raw)
    done()
  })
  app.addHook('onSend', ({ raw }, _reply, _payload, done) => {
    underWay.delete(raw)
    done()
  })
  return () => underWay.size
}
