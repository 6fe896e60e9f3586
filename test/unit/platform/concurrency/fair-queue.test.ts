import fc from 'fast-check'
import t from 'tap'
import { createFairQueue } from '../../../../src/platform/concurrency/fair-queue.ts'

/** A queue whose turns are run by the test. */
const inTurns = (mostBytes = 1000) => {
  const turns: (() => void)[] = []
  const queue = createFairQueue({ mostBytes, nextTurn: (step) => turns.push(step) })
  const events: string[] = []
  const add = (client: string, name: string, options: { bytes?: number; gone?: () => boolean; run?: () => void } = {}) =>
    queue.add({
      client,
      bytes: options.bytes ?? 1,
      gone: options.gone ?? (() => false),
      run: () => {
        events.push(name)
        options.run?.()
      },
      drop: () => events.push(`${name} dropped`),
    })
  return { queue, turns, events, add, turn: () => turns.shift()?.() }
}

t.test('runs one item per turn, in order', async (t) => {
  const { add, turn, turns, events, queue } = inTurns()
  for (const name of ['a', 'b', 'c']) add('one', name)
  t.same(events, [], 'nothing runs in the turn in which it is added')
  for (const sofar of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
    t.equal(turns.length, 1)
    turn()
    t.same(events, sofar)
  }
  t.equal(turns.length, 0, 'no turn is scheduled while the queue is empty')
  t.equal(queue.waiting(), 0)
  add('one', 'd')
  turn()
  t.same(events, ['a', 'b', 'c', 'd'])
})

t.test('clients take turns: one that sends many does not delay another', async (t) => {
  const { add, turn, events } = inTurns()
  for (const name of ['a1', 'a2', 'a3']) add('a', name)
  add('b', 'b1')
  turn()
  add('c', 'c1')
  for (let n = 0; n < 4; n++) turn()
  t.same(events, ['a1', 'b1', 'a2', 'c1', 'a3'])
})

t.test('an error in one item does not stop the others', async (t) => {
  const { add, turn, events } = inTurns()
  const run = () => {
    throw new Error('broken')
  }
  add('a', 'a1', { run })
  add('a', 'a2')
  t.throws(turn, /broken/)
  turn()
  t.same(events, ['a1', 'a2'])
})

t.test('an abandoned item leaves the queue and takes no turn', async (t) => {
  const { add, turn, turns, events, queue } = inTurns()
  let gone = false
  add('a', 'a1', { gone: () => gone })
  add('b', 'b1', { gone: () => gone })
  add('c', 'c1')
  gone = true
  turn()
  t.same(events, ['a1 dropped', 'b1 dropped', 'c1'])
  t.equal(turns.length, 0)
  t.equal(queue.waiting(), 0)
})

t.test('when full, drops abandoned items first, then the newest item of the client with the most', async (t) => {
  const { add, turn, turns, events } = inTurns(10)
  add('gone', 'g', { bytes: 4, gone: () => true })
  add('a', 'a1', { bytes: 4 })
  add('a', 'a2', { bytes: 4 })
  t.same(events, ['g dropped'])
  add('b', 'b1', { bytes: 3 })
  t.same(events, ['g dropped', 'a2 dropped'], 'not the item that was added last')
  add('c', 'c1', { bytes: 11 })
  t.same(events.slice(2), ['c1 dropped'], 'an item that is too large does not displace the others')
  while (turns.length > 0) turn()
  t.same(events.slice(3), ['a1', 'b1'])
})

t.test('each item is run or dropped exactly once, and the limit holds, in any order', async () => {
  const coming = fc.record({ client: fc.constantFrom('a', 'b', 'c'), bytes: fc.integer({ min: 1, max: 6 }), gone: fc.boolean() })
  fc.assert(
    fc.property(fc.array(fc.oneof(coming, fc.constant(undefined)), { maxLength: 60 }), (steps) => {
      const { add, turn, turns, events, queue } = inTurns(10)
      let added = 0
      for (const step of steps) {
        if (!step) turn()
        else add(step.client, `${added++}`, { bytes: step.bytes, gone: () => step.gone })
        if (queue.waiting() > 10 || turns.length > 1) return false
      }
      while (turns.length > 0) turn()
      const ended = events.map((event) => event.replace(' dropped', ''))
      return queue.waiting() === 0 && new Set(ended).size === added && ended.length === added
    }),
  )
})
