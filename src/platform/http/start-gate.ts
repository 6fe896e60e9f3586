import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { fail } from '../errors.ts'

/** For a server that has bound its port and cannot serve yet: while closed, it refuses every request except health checks. */
export interface StartGate {
  readonly plugin: FastifyPluginAsync
  readonly closed: () => boolean
  close(): void
  open(): void
}

export const createStartGate = (): StartGate => {
  let closed = false
  const plugin = fp(
    async (app) => {
      app.addHook('onRequest', (request, _reply, done) => {
        done(closed && !request.routeOptions.url?.startsWith('/health') ? fail('service.starting') : undefined)
      })
    },
    { name: 'start-gate', dependencies: ['request-context'] },
  )
  return {
    plugin,
    closed: () => closed,
    close: () => {
      closed = true
    },
    open: () => {
      closed = false
    },
  }
}
