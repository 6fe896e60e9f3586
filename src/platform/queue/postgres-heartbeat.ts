import type pg from 'pg'
import type { PostgresPools } from './postgres-pool.ts'

const heartbeatMs = 3_000

/**
 * Checks a listening connection every few seconds: a dead one would be silent for ever. It then fails as if it had broken. Ends
 * when the connection is released.
 */
export const withHeartbeat = (client: pg.PoolClient, check: PostgresPools['check']): pg.PoolClient => {
  let asking = false
  const beat = async () => {
    if (asking) return
    asking = true
    try {
      await check(client)
    } catch (error) {
      clearInterval(timer)
      client.emit('error', error)
    } finally {
      asking = false
    }
  }
  const timer = setInterval(() => void beat(), heartbeatMs).unref()
  const release = client.release
  client.release = (destroy) => {
    clearInterval(timer)
    release(destroy)
  }
  return client
}
