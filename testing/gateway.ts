import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type Server, type ServerResponse } from 'node:http'
import { request as requestOverTls } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createApp } from '../src/app/app.ts'
import { readConfig } from '../src/config.ts'
import { type Answer, call } from './app.ts'

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface FakeService {
  readonly url: string
  readonly port: number
  readonly server: Server
  /** The requests that it received, without health checks. */
  readonly received: Received[]
  /** The status of /health/ready. */
  ready: boolean
  stop(): Promise<void>
}

type Handler = (request: Received, response: ServerResponse, incoming: IncomingMessage) => void

const echo: Handler = (_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"success":true,"data":[]}')
}

/** A real HTTP server in place of a service; `handle` gets each request after its body was read. */
export const startFakeService = async (
  t: Test,
  handle: Handler = echo,
  { port = 0, create = createServer as (listener: RequestListener) => Server } = {},
): Promise<FakeService> => {
  const received: Received[] = []
  const server = create((incoming, response) => {
    if (incoming.url?.startsWith('/health')) {
      response.statusCode = service.ready ? 200 : 503
      return response.end()
    }
    const chunks: Buffer[] = []
    incoming.on('data', (chunk) => chunks.push(chunk))
    incoming.on('error', () => {})
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() }
      received.push(request)
      handle(request, response, incoming)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const own = (server.address() as AddressInfo).port
  const stop = async () => {
    if (!server.listening) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  t.teardown(stop)
  const scheme = 'setSecureContext' in server ? 'https' : 'http'
  const service = { url: `${scheme}://127.0.0.1:${own}`, port: own, server, received, ready: true, stop }
  return service
}

export interface RunningGateway {
  readonly url: string
  readonly log: Record<string, unknown>[]
  /** `path` is below /api/v1. */
  api(path: string, method?: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  stop(): Promise<void>
}

/** SERVICE=gateway in this process. Nothing listens at the URL of a service that is not in `env`. */
export const runGateway = async (t: Test, env: Record<string, string> = {}): Promise<RunningGateway> => {
  const nowhere = 'http://127.0.0.1:1'
  const config = readConfig({
    SERVICE: 'gateway',
    PORT: '0',
    METRICS_PORT: '0',
    RATE_LIMIT_PER_MINUTE: '0',
    USER_SERVICE_URL: nowhere,
    PRODUCT_SERVICE_URL: nowhere,
    ORDER_SERVICE_URL: nowhere,
    NOTIFICATION_SERVICE_URL: nowhere,
    AUDIT_SERVICE_URL: nowhere,
    AUTH: 'off',
    ...env,
  })
  const log: Record<string, unknown>[] = []
  const lines = { write: (line: string) => log.push(JSON.parse(line)) }
  const app = await createApp({ config, log: pino({ level: 'info' }, lines) })
  const { url } = await app.start()
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= app.stop()
    return stopped
  }
  t.teardown(stop)
  return { url, log, stop, api: (path, method, body, headers) => call(`${url}/api/v1${path}`, method, body, headers) }
}

/** Writes raw bytes to a server, and reads until it closes the connection. */
export const sendRaw = async (url: string, bytes: string): Promise<string> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(bytes)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

interface Exact {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  readonly signal?: AbortSignal
}

/** Sends one request with exactly this path and these headers on a new connection; `fetch` would normalize them. */
export const sendExactly = (
  url: string,
  path: string,
  { method = 'GET', headers = {}, body, signal }: Exact = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; text: string }> =>
  new Promise((resolve, reject) => {
    const { protocol, hostname, port } = new URL(url)
    const length = body === undefined || headers['transfer-encoding'] ? {} : { 'content-length': Buffer.byteLength(body) }
    const options = { hostname, port, path, method, headers: { ...length, ...headers }, agent: false, signal }
    const start = protocol === 'https:' ? requestOverTls : request
    const outgoing = start(options, async (response) => {
      let text = ''
      try {
        for await (const chunk of response) text += chunk
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      } catch (error) {
        reject(error)
      }
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
