import t from 'tap'
import { createWindow } from '../../src/platform/events/window.ts'

t.test('an event is done when each of its queues is done with it', async (t) => {
  const window = createWindow(3, 60_000)
  window.add('a', ['notification', 'audit'])
  window.add('b', ['audit'])
  t.equal(window.room(), 1)
  t.same(window.done('audit', ['a', 'b', 'somebody else’s']), ['b'])
  t.same(window.done('audit', ['a']), [], 'told twice is not done twice')
  t.equal(window.room(), 2)
  t.same(window.done('notification', ['a']), ['a'])
  t.same(window.done('notification', ['a']), [], 'and then it is no longer there')
  t.equal(window.room(), 3)
})

t.test('what is not seen done in time makes room', async (t) => {
  const window = createWindow(2, -1)
  window.add('a', ['audit'])
  t.equal(window.room(), 1, 'while there is room, it may still be seen')
  window.add('b', ['audit'])
  t.equal(window.room(), 2)
})
