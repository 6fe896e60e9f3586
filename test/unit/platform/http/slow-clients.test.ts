import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createRequestsInFlight } from '../../../../src/platform/http/requests-in-flight.ts'
import { createHttp, type HttpOptions } from '../../../../src/platform/http/server.ts'
import { eventually } from '../../../../testing/eventually.ts'

t.setTimeout(90_000)

const mebibyte = 1024 * 1024
/** More than the socket buffers of both sides. */
const size = 64 * mebibyte

const listen = async (t: Test, options: Partial<HttpOptions> = {}) => {
  const app = await createHttp({
    log: pino({ level: 'silent' }),
    trustProxy: false,
    budgetMs: 1000,
    stopping: () => false,
    ...options,
  })
  const inFlight = createRequestsInFlight()
  await app.register(inFlight.plugin)
  const piece = Buffer.alloc(65_536)
  const stream = function* () {
    for (let sent = 0; sent < size; sent += piece.length) yield piece
  }
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  app.get('/long', async (_request, reply) => reply.send(Readable.from(stream())))
  app.get('/held', async () => {
    await held
    return {}
  })
  app.get('/short', async () => ({}))
  app.post('/', async () => ({}))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.addresses()[0] as { port: number }
  const sockets: Socket[] = []
  t.teardown(() => {
    release()
    for (const socket of sockets) socket.destroy()
    return app.close()
  })
  const open = (text: string): Socket => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    socket.write(text)
    return socket
  }
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  const connections = () => new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)))
  return { app, open, get, underWay: inFlight.count, connections, release }
}

t.test('a client that does not read is disconnected, even if it sends data', async (t) => {
  let cuts = 0
  const { open, get, connections } = await listen(t, { slowClients: { stallMs: 300, onCut: () => cuts++ } })
  open(get('/long'))
  const sender = open(get('/long'))
  const sending = setInterval(() => sender.write('\r\n'), 50)
  t.teardown(() => clearInterval(sending))
  await eventually(async () => cuts === 2 && (await connections()) === 0)
})

t.test('a client that waits for a response, or is idle after it, is not disconnected', async (t) => {
  let cuts = 0
  const { open, get, release } = await listen(t, { slowClients: { stallMs: 100, onCut: () => cuts++ } })
  const [waits, rests] = [open(get('/held')), open(get('/short'))]
  t.match(String((await once(rests, 'data'))[0]), /^HTTP\/1.1 200/)
  open(get('/long'))
  await eventually(() => cuts === 1)
  release()
  t.match(String((await once(waits, 'data'))[0]), /^HTTP\/1.1 200/)
  rests.write(get('/short'))
  t.match(String((await once(rests, 'data'))[0]), /^HTTP\/1.1 200/)
  t.equal(cuts, 1)
})

t.test('a request of a client that reads or sends slowly does not count as in flight', async (t) => {
  const { open, get, underWay, connections, release } = await listen(t)
  const clients = [open(get('/long')), open(get('/long')), open(get('/long'))]
  await Promise.all(clients.map((socket) => once(socket, 'readable')))
  open('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{')
  const waits = open(get('/held'))
  await eventually(async () => (await connections()) === 5 && underWay() === 1)
  const gone = open(get('/held'))
  await eventually(() => underWay() === 2)
  gone.destroy()
  await eventually(() => underWay() === 1)
  release()
  await once(waits, 'data')
  t.equal(underWay(), 0)
})

t.test('a request must arrive within a time limit', async (t) => {
  const { open } = await listen(t, { arrivalMs: 400 })
  const slow = {
    head: open('GET / HTTP/1.1\r\nHost: x\r\n'),
    body: open('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{'),
    nothing: open(''),
  }
  for (const [name, socket] of Object.entries(slow)) {
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    await once(socket, 'close')
    if (name !== 'nothing') t.match(answer, /^HTTP\/1.1 408 [\s\S]*request\.timeout/, name)
  }
})
