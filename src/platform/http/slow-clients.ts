import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

const mebibyte = 1024 * 1024

export interface SlowClientsOptions {
  /** Milliseconds without progress after which a connection is closed, for each waiting MiB. */
  readonly stallMs: number
  readonly onCut?: (() => void) | undefined
}

interface Progress {
  readonly taken: number
  readonly at: number
}

/**
 * Closes connections whose client does not read (write timeout). Progress means that the system has taken bytes: written and no
 * longer queued here. It becomes visible when a whole piece is taken, so a large one gets more time. Data that the client sends
 * meanwhile is no progress. Connections without waiting data are subject to the server's other limits.
 */
export const cutSlowClients = (server: Server, { stallMs, onCut }: SlowClientsOptions): void => {
  const sockets = new Map<Socket, Progress>()
  const sweep = () => {
    const now = performance.now()
    for (const [socket, { taken, at }] of sockets) {
      const { writableLength } = socket
      const progress = socket.bytesWritten - writableLength
      if (writableLength === 0 || progress !== taken) sockets.set(socket, { taken: progress, at: now })
      else if (now - at > stallMs * Math.ceil(writableLength / mebibyte)) {
        onCut?.()
        socket.destroy()
      }
    }
  }
  // For TLS, the queue above it: everything below has been taken.
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.set(socket, { taken: 0, at: performance.now() })
    socket.once('close', () => sockets.delete(socket))
  })
  let timer: NodeJS.Timeout | undefined
  server.on('listening', () => {
    timer = setInterval(sweep, Math.min(1000, stallMs / 4)).unref()
  })
  server.on('close', () => clearInterval(timer))
}
