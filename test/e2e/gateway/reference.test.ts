import { connect, type Socket } from 'node:net'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import type { Document } from '../../../testing/openapi.ts'

t.setTimeout(300_000)

const { url } = await runApp(t)
const page = await (await fetch(`${url}/docs/`)).text()
const script = /src="(js\/[^"]+)"/.exec(page)?.[1] ?? 'none'

/** The response's bytes; `fetch` would decode them. */
const raw = async (path: string, encoding: string): Promise<{ headers: string; body: Buffer }> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: ${encoding}\r\n\r\n`)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  const whole = Buffer.concat(chunks)
  const end = whole.indexOf('\r\n\r\n')
  return { headers: whole.subarray(0, end).toString().toLowerCase(), body: whole.subarray(end + 4) }
}

t.test('the script of the reference is compressed, and immutable under its name', async (t) => {
  const plain = await raw(`/docs/${script}`, 'identity')
  for (const [encoding, decode, coding] of [
    ['gzip, deflate', gunzipSync, 'gzip'],
    ['gzip, deflate, br, zstd', brotliDecompressSync, 'br'],
    ['br;q=0, gzip;q=0.5', gunzipSync, 'gzip'],
  ] as const) {
    const { headers, body } = await raw(`/docs/${script}`, encoding)
    t.match(headers, new RegExp(`content-encoding: ${coding}\r\n`), encoding)
    t.match(headers, /cache-control: public, max-age=31536000, immutable\r\n/)
    t.match(headers, /vary: accept-encoding/)
    t.match(headers, /etag: "/)
    t.ok(decode(body).equals(plain.body), 'the same content')
    t.ok(body.length < plain.body.length / 3, `${body.length} of ${plain.body.length} bytes`)
  }
  t.notMatch(plain.headers, /content-encoding/)
  t.match(script, /scalar\.[0-9a-f]{16}\.js/)
  t.equal((await fetch(`${url}/docs/js/scalar.js`)).status, 404, 'no name without a hash')
  t.equal((await fetch(`${url}/docs`)).url, `${url}/docs/`)
})

t.test('clients that do not read do not each hold a copy', async (t) => {
  const { hostname, port } = new URL(url)
  const before = process.memoryUsage()
  let begun = 0
  const sockets = await Promise.all(
    Array.from({ length: 40 }, async (): Promise<Socket> => {
      const socket = connect(Number(port), hostname)
      socket.once('readable', () => begun++)
      socket.write(`GET /docs/${script} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n`)
      return socket
    }),
  )
  await eventually(() => begun === sockets.length)
  const after = process.memoryUsage()
  const grown = (after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed) / 1024 / 1024
  // 40 copies of 4 MiB would be 160 MiB.
  t.ok(grown < 80, `${Math.round(grown)} MiB more`)
  for (const socket of sockets) socket.destroy()
})

t.test('parameters with a default are not required', async (t) => {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document & { servers: unknown }
  const defaulted = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { parameters = [] }]) =>
      parameters
        .filter(({ schema }) => 'default' in schema)
        .map(({ name, required }) => [`${method} ${path} ${name}`, required ?? false] as const),
    ),
  )
  t.ok(defaulted.length > 3, `${defaulted.length} of them`)
  t.same(
    defaulted.filter(([, required]) => required),
    [],
  )
  t.same(document.servers, [{ url: '/' }])
})
