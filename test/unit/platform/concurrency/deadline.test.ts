import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { endsWithin, setDeadline } from '../../../../src/platform/concurrency/deadline.ts'

t.test('what lies in a socket when a deadline passes was in time, however late it is read', async (t) => {
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
