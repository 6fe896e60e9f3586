import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { abortAfter, endsWithin, setDeadline, withTimeout } from '../../../../src/platform/concurrency/deadline.ts'

t.test('data that is in the socket before the deadline counts as in time, even if it is read later', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const [peer] = (await once(server, 'connection')) as [Socket]
  const order: string[] = []
  client.on('data', () => order.push('answer'))
  const late = Promise.withResolvers<void>()
  setDeadline(20, () => {
    order.push('late')
    late.resolve()
  })
  peer.write('answer')
  const began = performance.now()
  while (performance.now() - began < 60);
  await late.promise
  t.same(order, ['answer', 'late'])
})

t.test('a cleared deadline does not fire', async (t) => {
  let late = false
  const cleared = setDeadline(5, () => {
    late = true
  })
  clearTimeout(cleared)
  const after = Promise.withResolvers<void>()
  setDeadline(30, () => after.resolve())
  await after.promise
  t.equal(late, false)
})

t.test('endsWithin returns whether work ended in time, and does not throw', async (t) => {
  t.equal(await endsWithin(1000, Promise.resolve()), true)
  t.equal(await endsWithin(1000, Promise.reject(new Error('failed'))), true)
  t.equal(await endsWithin(5, new Promise(() => {})), false)
})

t.test('withTimeout rejects with the given error if work takes too long', async (t) => {
  const late = () => new Error('too late')
  t.equal(await withTimeout(1000, Promise.resolve(1), late), 1)
  await t.rejects(withTimeout(1000, Promise.reject(new Error('failed')), late), { message: 'failed' })
  await t.rejects(withTimeout(5, new Promise(() => {}), late), { message: 'too late' })
})

t.test('abortAfter aborts work after its time, or with an outer signal', async (t) => {
  const untilAborted = (signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  t.equal(await abortAfter(1000, async () => 1), 1)
  await t.rejects(abortAfter(5, untilAborted), { name: 'TimeoutError' })
  await t.rejects(abortAfter(5, untilAborted, { late: () => new Error('too late') }), { message: 'too late' })
  const outer = new AbortController()
  const work = abortAfter(60_000, untilAborted, { outer: outer.signal })
  outer.abort(new Error('stopped'))
  await t.rejects(work, { message: 'stopped' })
  await t.rejects(
    abortAfter(1000, async () => 1, { outer: outer.signal }),
    { message: 'stopped' },
  )
})
