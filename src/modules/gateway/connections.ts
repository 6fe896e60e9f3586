import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { fail } from '../../platform/errors.ts'
import { networkOf } from '../../platform/http/client-network.ts'
import { isProbe } from './probes.ts'

interface Client {
  open: number
  /** Connections above the limit, oldest first. */
  readonly over: Set<Socket>
}

/**
 * Limits the connections per peer address. A connection above the limit is closed with its first response: 429
 * request.too_many_connections, or the usual response for a probe, because a probe behind the node's NAT has the same address.
 * Beyond twice the limit, the oldest extra connections are closed to make room.
 */
export const connectionCap = fp<{ readonly perClient: number }>(
  async (app, { perClient }) => {
    if (perClient === 0) return
    const clients = new Map<string, Client>()
    const over = new WeakSet<Socket>()
    app.server.on('connection', (socket: Socket) => {
      const address = networkOf(socket.remoteAddress ?? '')
      const client = clients.get(address) ?? { open: 0, over: new Set() }
      clients.set(address, client)
      client.open++
      socket.once('close', () => {
        client.open--
        client.over.delete(socket)
        if (client.open === 0) clients.delete(address)
      })
      if (client.open <= perClient) return
      over.add(socket)
      client.over.add(socket)
      if (client.over.size > perClient) client.over.values().next().value?.destroy()
    })
    app.addHook('onRequest', ({ raw, routeOptions: { url } }, reply, done) => {
      if (!over.has(raw.socket)) return done()
      reply.header('connection', 'close')
      done(isProbe(url) ? undefined : fail('request.too_many_connections', { retry_after: 1 }))
    })
  },
  { name: 'connection-cap', dependencies: ['request-context'] },
)
