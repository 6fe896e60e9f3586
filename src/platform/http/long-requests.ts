import type { FastifyInstance, FastifyRequest } from 'fastify'
import { createFairQueue, type FairQueue } from '../concurrency/fair-queue.ts'
import { fail } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    longRequests: FairQueue
  }
}

/** Bytes. What is longer can cost milliseconds, and what is usual is shorter: a token has one or two KiB. */
const short = 4 * 1024
/** Bytes of requests that wait, together. */
const mostWaiting = 32 * 1024 * 1024

/** Goes on with a part of a request: at once where it is short, else in a turn of the event loop that no other long one has. */
export const inTurn = (
  { longRequests }: FastifyInstance,
  { ip, raw }: FastifyRequest,
  bytes: number,
  run: () => void,
  refuse: (error: Error) => void,
): void => {
  const gone = () => raw.socket.destroyed
  if (bytes <= short) run()
  else longRequests.add({ client: ip, bytes, gone, run, drop: () => refuse(fail('service.busy')) })
}

/**
 * Long heads and bodies are handled one in each turn of the event loop: each may take milliseconds, and many that come at once
 * would make one stall of them. Errors: service.busy where too many wait.
 */
export const handleLongInTurn = (app: FastifyInstance): void => {
  app.decorate('longRequests', createFairQueue({ mostBytes: mostWaiting }))
  app.addHook('onRequest', (request, _reply, done) => {
    let bytes = request.url.length
    for (const text of request.raw.rawHeaders) bytes += text.length
    inTurn(app, request, bytes, done, done)
  })
}
