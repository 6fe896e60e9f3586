import type { Server } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import fp from 'fastify-plugin'

/** Maximum event loop iterations that a closing server keeps reading: clients that keep opening connections do not delay it. */
const lastTurns = 100

/**
 * Resolves when an event loop iteration brought no new request. A process that waited for CPU has unread requests in its sockets:
 * their connections count as idle, and closing them would lose these requests.
 */
const allRead = async (server: Server): Promise<void> => {
  let requests = 0
  const count = () => requests++
  server.on('request', count)
  for (let turns = 0, before = -1; before !== requests && turns < lastTurns; turns++) {
    before = requests
    // The first ends the current iteration, the second one in which all sockets were read.
    await turn()
    await turn()
  }
  server.off('request', count)
}

/** Before it closes, the server reads the requests that have arrived. */
export const lastRequests = fp(
  async (app) => {
    app.addHook('preClose', () => allRead(app.server))
  },
  { name: 'last-requests' },
)
