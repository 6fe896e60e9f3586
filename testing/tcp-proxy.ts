import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /** Open connections stay open, but transfer nothing from now on, as when a middlebox has forgotten them. */
  blackhole(): void
  /** Changes the target of new connections; open ones stay, as behind the address of a Kubernetes Service. */
  switchTo(port: number): void
  /** Number of open connections, without those in the black hole. */
  open(): number
  stop(): Promise<void>
}

/** A TCP proxy on a loopback address in front of `port` of 127.0.0.1. */
export const startProxy = async (port: number, host = '127.0.0.1'): Promise<TcpProxy> => {
  let target = port
  const pairs = new Set<readonly [Socket, Socket]>()
  const lost = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.once('close', () => {
        if (!pairs.delete(pair)) return
        for (const other of pair) other.destroy()
      })
    }
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address() as { port: number }
  return {
    port: address.port,
    blackhole: () => {
      for (const pair of pairs) {
        const [client, upstream] = pair
        pairs.delete(pair)
        client.unpipe(upstream)
        upstream.unpipe(client)
        for (const socket of pair) {
          socket.pause()
          lost.add(socket)
        }
      }
    },
    switchTo: (next) => {
      target = next
    },
    open: () => pairs.size,
    stop: async () => {
      for (const socket of [...lost, ...[...pairs].flat()]) socket.destroy()
      server.close()
    },
  }
}
