// Runs in a container: an SMS provider and an OpenTelemetry collector that keep what they receive.
import { createServer } from 'node:http'

interface Message {
  readonly key: string
  readonly body: string
}

const messages: Message[] = []
let status = 202
let traces = 0

createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8')
  request.on('data', (chunk) => {
    body += chunk
  })
  request.on('end', () => {
    const { pathname } = new URL(request.url ?? '/', 'http://sink')
    if (pathname === '/status') {
      status = Number(body)
      response.end()
    } else if (pathname === '/v1/traces') {
      traces += 1
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    } else if (request.method === 'POST') {
      if (status === 202) messages.push({ key: String(request.headers['idempotency-key']), body })
      response.writeHead(status).end()
    } else response.end(JSON.stringify({ messages, traces }))
  })
}).listen(8080)
