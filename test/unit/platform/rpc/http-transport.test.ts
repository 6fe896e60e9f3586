import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { Agent } from 'undici'
import type { Operation } from '../../../../src/platform/contract.ts'
import { defineContract } from '../../../../src/platform/contract.ts'
import { remoteTransport } from '../../../../src/platform/rpc/http-transport.ts'
import { createUpstream } from '../../../../src/platform/upstream/upstream.ts'

t.jobs = 4

const contract = defineContract({
  name: 'product',
  port: 1,
  errors: { 'product.not_found': { status: 404, en: 'gone', 'zh-TW': '無' } },
  paths: [],
  ops: {
    read: { input: Type.Object({}), output: Type.Number(), idempotent: true, timeoutMs: 3000 },
    write: { input: Type.Object({}), output: Type.Number(), timeoutMs: 3000 },
  },
  events: {},
  subscribes: [],
})

/** A service with one behaviour for each call in order; the last one repeats. `calls` counts them. */
const serviceOf = async (t: Test, ...behaviours: ((request: IncomingMessage, response: ServerResponse) => unknown)[]) => {
  const seen = { calls: 0 }
  const server = createServer((request, response) => {
    request.resume()
    const behave = behaviours[Math.min(seen.calls++, behaviours.length - 1)]
    request.once('end', () => behave?.(request, response))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const log = { info: () => {}, warn: () => {} }
  const upstream = createUpstream({ name: 'product', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log })
  const dispatcher = new Agent()
  t.teardown(async () => {
    await dispatcher.destroy()
    await upstream.close()
    server.closeAllConnections()
    server.close()
  })
  const transport = remoteTransport({ contract, upstream, dispatcher, tokens: undefined })
  const call = (op: 'read' | 'write', ms = 3000) =>
    transport(op, contract.ops[op] as Operation, {}, {
      deadline: Date.now() + ms,
      requestId: 'r',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      actor: { type: 'service', id: 'order' },
    } as never)
  return { call, seen }
}

const answer = (value: number) => (_request: IncomingMessage, response: ServerResponse) => response.end(String(value))
const closes = (request: IncomingMessage) => request.socket.destroy()
const hangs = () => {}
const refuses = (_request: IncomingMessage, response: ServerResponse) =>
  response.writeHead(404).end('{"code":"product.not_found"}')

t.test('a read is retried if its connection is closed', async (t) => {
  const { call, seen } = await serviceOf(t, closes, answer(7))
  t.equal(await call('read'), 7)
  t.equal(seen.calls, 2)
})

t.test('an error response is not retried', async (t) => {
  const { call, seen } = await serviceOf(t, refuses, answer(7))
  await t.rejects(call('read'), { code: 'product.not_found' })
  t.equal(seen.calls, 1)
})

t.test('a read that fails twice fails, and one past its deadline is not retried', async (t) => {
  const broken = await serviceOf(t, closes)
  await t.rejects(broken.call('read'), { code: 'UND_ERR_SOCKET' })
  t.equal(broken.seen.calls, 2)
  const slow = await serviceOf(t, hangs)
  await t.rejects(slow.call('read', 300), { name: 'TimeoutError' })
  t.equal(slow.seen.calls, 1)
})

t.test('a write is sent only once', async (t) => {
  const closing = await serviceOf(t, closes, answer(7))
  await t.rejects(closing.call('write'), { code: 'UND_ERR_SOCKET' })
  t.equal(closing.seen.calls, 1)
  const slow = await serviceOf(t, hangs, answer(7))
  await t.rejects(slow.call('write', 1500), { name: 'TimeoutError' })
  t.equal(slow.seen.calls, 1)
})
