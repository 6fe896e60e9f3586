import t from 'tap'
import { createInFlight } from '../../../../src/platform/events/in-flight.ts'

t.test('an event is in the window until its queue has completed it', async (t) => {
  const window = createInFlight(3, 60_000)
  window.add(['a', 'b'])
  t.equal(window.room(), 1)
  t.same(window.done(['a', 'unknown']), ['a'])
  t.same(window.done(['a']), [], 'a second report has no effect')
  t.equal(window.room(), 2)
  t.same(window.done(['b']), ['b'])
  t.equal(window.room(), 3)
  window.add(['c', 'c'])
  t.equal(window.room(), 2, 'added twice, counted once')
  window.clear()
  t.equal(window.room(), 3)
})

t.test('an event that is not completed in time leaves the window', async (t) => {
  const window = createInFlight(2, -1)
  window.add(['a'])
  t.equal(window.room(), 1, 'while there is room, it stays')
  window.add(['b'])
  t.equal(window.room(), 2)
})
