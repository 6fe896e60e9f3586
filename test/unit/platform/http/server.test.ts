import { once } from 'node:events'
import { connect } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createHttp } from '../../../../src/platform/http/server.ts'

const listen = async (t: Test) => {
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  app.get('/broken', async () => {
    throw new Error('an internal secret')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return app
}

const sendRaw = async (port: number, text: string): Promise<{ status: number; body: Record<string, unknown> }> => {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  await once(socket, 'end')
  socket.destroy()
  return { status: Number(answer.slice(9, 12)), body: JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) }
}

t.test('an HTTP parser error returns a problem', async (t) => {
  const app = await listen(t)
  const { port } = app.addresses()[0] as { port: number }
  t.match(await sendRaw(port, 'no HTTP at all\r\n\r\n'), {
    status: 400,
    body: { code: 'request.malformed', success: false, trace_id: /^[0-9a-f]{32}$/ },
  })
  t.match(await sendRaw(port, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`), {
    status: 431,
    body: { code: 'request.headers_too_large' },
  })
})

t.test('ambiguous request headers are refused', async (t) => {
  const app = await listen(t)
  const { port } = app.addresses()[0] as { port: number }
  const ask = (version: string, ...headers: string[]) =>
    sendRaw(port, [`GET /none HTTP/${version}`, 'Connection: close', ...headers, '', ''].join('\r\n'))
  const refused = [
    ['Host: a', 'Host: b'],
    ['Host: a', 'Host: a'],
    ['Host: a', 'host:'],
    ['Host: a b'],
    ['Host: a, b'],
    ['Host: a/b'],
    ['Host: user@a'],
    ['Host: [::1'],
    ['Host: a:80:90'],
    ['Host: a', 'Content-Type: text/plain', 'Content-Type: application/json'],
    ['Host: a', 'Authorization: Bearer a', 'authorization: Bearer b'],
    ['Host: a', 'Idempotency-Key: a', 'Idempotency-Key: b'],
    ['Host: a', 'Content-Length: 0', 'Content-Length: 0'],
  ]
  for (const version of ['1.0', '1.1'])
    for (const headers of refused)
      t.match(await ask(version, ...headers), { status: 400, body: { code: 'request.malformed' } }, `${version} ${headers}`)
  t.equal((await ask('1.1')).status, 400, 'no Host')
  t.equal((await ask('1.0', 'Transfer-Encoding: chunked')).status, 400)
  for (const host of ['a', 'shop.example:8080', '127.0.0.1:5000', '[::1]:5000', 'a_b', 'a%20b', ''])
    t.equal((await ask('1.1', `Host: ${host}`)).status, 404, host)
  t.equal((await ask('1.0')).status, 404, 'HTTP/1.0 needs no Host')
  t.equal((await ask('1.1', 'Host: a', 'Accept: a', 'Accept: b')).status, 404, 'a list header may be repeated')
})

t.test('an unexpected error reveals nothing internal', async (t) => {
  const app = await listen(t)
  const { statusCode, body } = await app.inject('/broken')
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { code: 'internal', success: false })
  t.notMatch(body, /secret/)
})

t.test('requests that arrived before the server closes get responses, even if not read yet', async (t) => {
  const app = await listen(t)
  const { port } = app.addresses()[0] as { port: number }
  const request = 'GET /none HTTP/1.1\r\nhost: x\r\n\r\n'
  const clients = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      const answers = (n: number) =>
        new Promise<boolean>((resolve) => {
          let text = ''
          socket.on('data', (chunk) => {
            text += chunk
            if (text.split('HTTP/1.1 404').length > n) resolve(true)
          })
          socket.once('close', () => resolve(false))
        })
      socket.write(request)
      await answers(1)
      return { socket, second: answers(1) }
    }),
  )
  // Both ends are in this process: the server cannot have read this when it begins to close.
  for (const { socket } of clients) socket.write(request)
  const closed = app.close()
  t.same(await Promise.all(clients.map(({ second }) => second)), Array(20).fill(true))
  for (const { socket } of clients) socket.destroy()
  await closed
})

t.test('one long request is handled per event loop turn, and short ones do not wait', async (t) => {
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  const handled: { kind: string; turn: number }[] = []
  const schema = { body: { type: 'object', required: ['text'] }, querystring: { type: 'object' } } as const
  app.post<{ Body: { text: string }; Querystring: { kind: string } }>('/', { schema }, (request, reply) => {
    handled.push({ kind: request.query.kind, turn })
    reply.send({})
  })
  let turn = 0
  let counting = true
  const count = () => {
    turn++
    if (counting) setImmediate(count)
  }
  await app.ready()
  count()
  const send = (kind: string, length: number, headers: Record<string, string> = {}) =>
    app.inject({ method: 'POST', url: `/?kind=${kind}`, headers, payload: { text: 'a'.repeat(length) } })
  const long = (kind: string) => (kind === 'body' ? send(kind, 10_000) : send(kind, 10, { cookie: 'a'.repeat(10_000) }))
  const broken = app.inject({
    method: 'POST',
    url: '/',
    headers: { 'content-type': 'application/json' },
    payload: '{'.repeat(10_000),
  })
  const answers = [broken, ...Array.from({ length: 10 }, (_, n) => long(n % 2 ? 'body' : 'head')), send('short', 10)]
  const statuses = (await Promise.all(answers)).map(({ statusCode }) => statusCode)
  counting = false
  t.same(statuses, [400, ...Array(11).fill(200)])
  const turns = handled.filter(({ kind }) => kind !== 'short').map((each) => each.turn)
  t.equal(new Set(turns).size, 10, `turns ${turns}`)
  t.equal(handled[0]?.kind, 'short')
  await app.close()
})

t.test('clients of one IPv6 /64 share a turn: many addresses do not delay another client', async (t) => {
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  const handled: string[] = []
  app.get('/', (request, reply) => {
    handled.push(request.ip)
    reply.send({})
  })
  await app.ready()
  const [first, neighbour, other] = ['2001:db8::1', '2001:db8::ffff:2', '2001:db8:0:1::1'] as const
  const headers = { cookie: 'a'.repeat(10_000) }
  await Promise.all([first, neighbour, other].map((remoteAddress) => app.inject({ url: '/', headers, remoteAddress })))
  t.same(handled, [first, other, neighbour])
  await app.close()
})
