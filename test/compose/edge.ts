import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'
import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import type { Composition } from './docker.ts'

const host = '127.0.0.1'
const port = 8443
const url = `https://${host}:${port}`

const handshake = async (options: ConnectionOptions) => {
  const socket = connect({ host, port, ...options })
  try {
    await once(socket, 'secureConnect')
    return { version: socket.getProtocol(), alpn: socket.alpnProtocol }
  } finally {
    socket.destroy()
  }
}

/** nginx in front of the services. */
export const edgeSuite = async (t: Test, { inside }: Composition): Promise<void> => {
  await t.test('TLS 1.2 and 1.3, nothing older, and HTTP/2', async (t) => {
    const alpn = { ALPNProtocols: ['h2', 'http/1.1'] }
    t.same(await handshake({ ...alpn }), { version: 'TLSv1.3', alpn: 'h2' })
    t.same(await handshake({ ...alpn, maxVersion: 'TLSv1.2' }), { version: 'TLSv1.2', alpn: 'h2' })
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await t.rejects(handshake(old), { code: /TLSV1_ALERT_PROTOCOL_VERSION/ })

    const session = connectHttp2(url)
    t.teardown(() => session.close())
    const stream = session.request({ ':path': '/health' })
    const [headers] = await once(stream, 'response')
    t.equal(headers[':status'], 200)
    stream.resume()
  })

  await t.test('each response has Strict-Transport-Security once, and no nginx version', async (t) => {
    const answers = await Promise.all(['/health', '/nothing', '/%00', '/docs/'].map((path) => fetch(url + path)))
    for (const { headers, status } of answers) {
      t.equal(headers.get('strict-transport-security'), 'max-age=31536000; includeSubDomains', String(status))
      t.equal(headers.get('server'), 'nginx')
    }
    t.same(
      answers.map(({ status }) => status),
      [200, 404, 400, 200],
    )
  })

  await t.test('plain HTTP is refused', async (t) => {
    const response = await fetch(`http://${host}:${port}/api/v1/products`)
    t.equal(response.status, 400)
    t.match(await response.text(), /plain HTTP request/)
  })

  await t.test('a client cannot forge its address', async (t) => {
    const remaining = async (headers: Record<string, string>) => {
      const answer = await call(`${url}/api/v1/products`, 'GET', undefined, headers)
      t.equal(answer.status, 200)
      return Number(answer.headers.get('x-ratelimit-remaining'))
    }
    const first = await remaining({})
    const claims: Record<string, string>[] = [
      { 'x-forwarded-for': '198.51.100.7' },
      { 'x-forwarded-for': '198.51.100.8, 198.51.100.9' },
      { forwarded: 'for=198.51.100.10', 'x-real-ip': '198.51.100.11' },
    ]
    for (const [n, claim] of claims.entries()) t.equal(await remaining(claim), first - n - 1, JSON.stringify(claim))
    // nginx's container is another client with another address.
    const elsewhere = await inside('nginx', 'curl', '-sk', '-o', '/dev/null', '-D', '-', `${url}/api/v1/products`)
    t.ok(Number(/^x-ratelimit-remaining: (\d+)/m.exec(elsewhere)?.[1]) > first - claims.length, 'each address has its own limit')
  })

  await t.test('/internal is not reachable through nginx', async (t) => {
    for (const path of ['/internal/user/getUser', '/api/v1/../../internal/user/getUser', '/api/internal/user/getUser']) {
      const socket = connect({ host, port, ALPNProtocols: ['http/1.1'] })
      await once(socket, 'secureConnect')
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"id":1}`,
      )
      const [data] = await once(socket, 'data')
      t.match(String(data), /^HTTP\/1\.1 40[0-5]/, path)
      socket.destroy()
    }
  })

  await t.test('limits: body size and idle time', async (t) => {
    const answer = await call(`${url}/api/v1/users`, 'POST', { name: 'x'.repeat(3 * 2 ** 20) })
    t.match(answer.body, { success: false, status: 413, code: 'request.too_large' })
    t.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/)
    const idle = connectTcp({ host, port })
    t.teardown(() => idle.destroy())
    const began = Date.now()
    idle.resume()
    await once(idle, 'close')
    t.ok(Date.now() - began < 15_000, 'an idle connection is closed')
  })
}
