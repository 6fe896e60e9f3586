import t from 'tap'
import { createInFlight } from '../../../../src/platform/events/in-flight.ts'

t.test('an event is in the window until its queue is done with it', async (t) => {
  const window = createInFlight(3, 60_000)
  window.add(['a', 'b'])
  t.equal(window.room(), 1)
  t.same(window.done(['a', 'somebody else’s']), ['a'])
  t.same(window.done(['a']), [], 'told twice is not done twice')
  t.equal(window.room(), 2)
  t.same(window.done(['b']), ['b'])
  t.equal(window.room(), 3)
  window.add(['c', 'c'])
  t.equal(window.room(), 2, 'handed over twice, it counts once')
  window.clear()
  t.equal(window.room(), 3)
})

t.test('what is not seen done in time makes room', async (t) => {
  const window = createInFlight(2, -1)
  window.add(['a'])
  t.equal(window.room(), 1, 'while there is room, it may still be seen')
  window.add(['b'])
  t.equal(window.room(), 2)
})
