import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { abortAfter, endsWithin, setDeadline, withTimeout } from '../../../../src/platform/concurrency/deadline.ts'

t.test('what is in a socket when a deadline passes was in time, even if it is read late', async (t) => {
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

t.test('a deadline that was cleared does not come', async (t) => {
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

t.test('waiting for an end says whether it came in time, and throws nothing', async (t) => {
  t.equal(await endsWithin(1000, Promise.resolve()), true)
  t.equal(await endsWithin(1000, Promise.reject(new Error('failed'))), true)
  t.equal(await endsWithin(5, new Promise(() => {})), false)
})

t.test('work that takes too long is given up with an error of its own', async (t) => {
  const late = () => new Error('too late')
  t.equal(await withTimeout(1000, Promise.resolve(1), late), 1)
  await t.rejects(withTimeout(1000, Promise.reject(new Error('failed')), late), { message: 'failed' })
  await t.rejects(withTimeout(5, new Promise(() => {}), late), { message: 'too late' })
})

t.test('a signal ends work that can be aborted: after its time, or with an outer one', async (t) => {
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
