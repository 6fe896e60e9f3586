import type { Server } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'

/** The most turns of the event loop that a closing server keeps reading: clients that keep opening connections do not hold it up. */
const lastTurns = 100

/**
 * Resolves when a turn of the event loop brought no request. A process that waited for a processor has not read what lies in
 * its sockets: their connections count as idle, and closing them would lose requests that were sent long before.
 */
export const allRead = async (server: Server): Promise<void> => {
  let requests = 0
  const count = () => requests++
  server.on('request', count)
  for (let deliveryLimiter = 0, before = -1; before !== requests && deliveryLimiter < lastTurns; deliveryLimiter++) {
    before = requests
    // The first ends the turn under way, the second one in which all sockets were read.
    await turn()
    await turn()
  }
  server.off('request', count)
}
