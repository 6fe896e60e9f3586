import t from 'tap'
import { createDeliveryLimiter } from '../../../../src/platform/events/delivery-limiter.ts'
import { eventually } from '../../../../testing/eventually.ts'

/** Work that runs until `end` is called. */
const work = () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let started = false
  return {
    started: () => started,
    end: resolve,
    run: () => {
      started = true
      return promise
    },
  }
}

t.test('deliveries run concurrently while no request is in flight, otherwise one at a time in order', async (t) => {
  let busy = false
  const limiter = createDeliveryLimiter(() => busy)
  const free = [work(), work(), work()]
  const done = free.map(({ run }) => limiter.run(run))
  await eventually(() => free.every(({ started }) => started()))
  for (const { end } of free) end()
  await Promise.all(done)
  t.equal(limiter.concurrency(5), 5)

  busy = true
  t.equal(limiter.concurrency(5), 1, 'a consumer does not take deliveries that would wait')
  const [first, second, third] = [work(), work(), work()]
  const held = [first, second, third].map(({ run }) => limiter.run(run))
  await eventually(() => first.started())
  t.same([second.started(), third.started()], [false, false])
  first.end()
  await eventually(() => second.started())
  t.notOk(third.started())
  busy = false
  await eventually(() => third.started())
  t.pass('the rest continues when no request is in flight')
  second.end()
  third.end()
  await Promise.all(held)
})

t.test('failed work rejects and releases its turn', async (t) => {
  const limiter = createDeliveryLimiter(() => true)
  const failed = limiter.run(() => Promise.reject(new Error('no')))
  const next = limiter.run(async () => 'next')
  await t.rejects(failed, { message: 'no' })
  t.equal(await next, 'next')
})

t.test('slow work does not delay the others for long', async (t) => {
  const limiter = createDeliveryLimiter(() => true)
  const hanging = work()
  const held = limiter.run(hanging.run)
  t.equal(await limiter.run(async () => 'next'), 'next')
  hanging.end()
  await held
})
