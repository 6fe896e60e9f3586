import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.ts'

/** A server that has bound its port and cannot serve yet: it refuses every request except health checks. */
export interface Bulkhead {
  readonly closed: () => boolean
  close(): void
  open(): void
}

export const createBulkhead = (app: FastifyInstance): Bulkhead => {
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
