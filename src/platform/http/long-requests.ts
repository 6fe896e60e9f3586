import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createFairQueue, type FairQueue } from '../concurrency/fair-queue.ts'
import { fail } from '../errors.ts'
import { networkOf } from './client-network.ts'

declare module 'fastify' {
  interface FastifyInstance {
    longRequests: FairQueue
  }
}

/** Bytes. Longer requests can take milliseconds; usual ones are shorter: a token has one or two KiB. */
const short = 4 * 1024
/** Maximum bytes of waiting requests together. */
const mostWaiting = 32 * 1024 * 1024

/** Runs the work on a head or a body: at once if it is short, otherwise in its own event loop iteration, and clients take turns. */
export const schedule = (
  { longRequests }: FastifyInstance,
  { ip, raw }: FastifyRequest,
  bytes: number,
  run: () => void,
  refuse: (error: Error) => void,
): void => {
  const gone = () => raw.socket.destroyed
  if (bytes <= short) run()
  else longRequests.add({ client: networkOf(ip), bytes, gone, run, drop: () => refuse(fail('service.busy')) })
}

/**
 * Handles one long head or body per event loop iteration: each may take milliseconds, and many at once would add up to one stall.
 * Errors: service.busy if too many wait.
 */
export const longRequests = fp(
  async (app) => {
    app.decorate('longRequests', createFairQueue({ mostBytes: mostWaiting }))
    app.addHook('onRequest', (request, _reply, done) => {
      let bytes = request.url.length
      for (const text of request.raw.rawHeaders) bytes += text.length
      schedule(app, request, bytes, done, done)
    })
  },
  { name: 'long-requests', dependencies: ['request-context'] },
)
