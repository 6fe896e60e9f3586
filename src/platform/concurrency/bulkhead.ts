import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.ts'

/** A server that has its port and cannot serve yet: it refuses every request but those about its health. */
export interface Gate {
  readonly closed: () => boolean
  close(): void
  open(): void
}

export const createGate = (app: FastifyInstance): Gate => {
  let closed = false
  app.addHook('onRequest', (request, _reply, done) => {
    done(closed && !request.routeOptions.url?.startsWith('/health') ? fail('service.starting') : undefined)
  })
  return {
    closed: () => closed,
    close: () => {
      closed = true
    },
    open: () => {
      closed = false
    },
  }
}
