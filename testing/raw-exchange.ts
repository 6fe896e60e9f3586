import { connect } from 'node:net'

export interface RawAnswer {
  /** 0 if the connection was closed without a response. */
  readonly status: number
  /** By name in lower case; the values of a repeated name are joined. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const parse = (text: string): RawAnswer => {
  const end = text.indexOf('\r\n\r\n')
  const [line = '', ...lines] = text.slice(0, end < 0 ? undefined : end).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? 0)
  // An interim (1xx) response: the final one follows.
  if (status === 100) return parse(text.slice(end + 4))
  const headers: Record<string, string> = {}
  for (const header of lines) {
    const colon = header.indexOf(':')
    const name = header.slice(0, colon).toLowerCase()
    const value = header.slice(colon + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { status, headers, body: end < 0 ? '' : text.slice(end + 4) }
}

/** Writes raw bytes to a server, and reads the response until it closes the connection. */
export const exchange = (url: string, bytes: string): Promise<RawAnswer> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname, () => socket.write(Buffer.from(bytes, 'latin1')))
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    // A server that refuses a request may close before it has read everything.
    socket.on('error', () => {})
    socket.once('close', () => resolve(parse(Buffer.concat(chunks).toString())))
  })
