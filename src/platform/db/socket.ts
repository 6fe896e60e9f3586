import { connect, type Socket } from 'node:net'

/** One server; a host that begins with `/` is the folder of a Unix socket. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** The file of a Unix socket; undefined for a network host. */
export const socketFileOf = ({ host, port }: Endpoint): string | undefined =>
  host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : undefined

const connectMs = 5_000

const failed = (message: string, code: string) => Object.assign(new Error(message), { code })

/**
 * Opens the only socket that a client of postgres.js may have. The driver (3.4.9) itself reconnects at once and without end when
 * a connection closes during its start, for example behind a proxy whose server is down, and it uses new connections that were
 * not checked. See porsager/postgres#1193.
 */
export const onlySocket = (endpoint: Endpoint) => {
  const file = socketFileOf(endpoint)
  let used = false
  return async (): Promise<Socket> => {
    if (used) throw failed('the connection was closed', 'CONNECTION_CLOSED')
    used = true
    const socket = file ? connect(file) : connect(endpoint.port, endpoint.host)
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => socket.destroy(failed('no connection in time', 'CONNECT_TIMEOUT')), connectMs)
      socket.once('close', () => clearTimeout(late))
      socket.once('error', reject)
      socket.once('connect', () => {
        clearTimeout(late)
        resolve()
      })
    })
    return socket
  }
}
