import fc from 'fast-check'
import t from 'tap'
import { createSessionMemory } from '../../../../src/platform/auth/session-memory.ts'

const freshMs = 1000
const lateMs = 300
const max = 2

/** A request for a person's session: its start, the delay until the store is read, and the delay of the response. */
const question = fc.record({
  id: fc.integer({ min: 1, max: 4 }),
  askedAt: fc.integer({ min: 0, max: 1000 }),
  readAfter: fc.integer({ min: 0, max: 200 }),
  answeredAfter: fc.integer({ min: 0, max: 600 }),
})
/** When the session version of a person increases, and when the person is deleted. */
const person = fc.record({
  changes: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 4 }),
  goneAt: fc.option(fc.integer({ min: 0, max: 1000 }), { nil: Infinity }),
})

t.test('a session that was seen changed or deleted is never returned again, in any order of responses', async () => {
  fc.assert(
    fc.property(
      fc.array(question, { minLength: 20, maxLength: 60 }),
      fc.array(person, { minLength: 5, maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 30 }),
      (questions, people, looks) => {
        let clock = 0
        const memory = createSessionMemory({ freshMs, lateMs, max, now: () => clock })
        const versionAt = (id: number, at: number) => {
          const { changes, goneAt } = people[id] as (typeof people)[number]
          return at >= goneAt ? undefined : 1 + changes.filter((change) => change <= at).length
        }
        const answers = questions.map(({ id, askedAt, readAfter, answeredAfter }) => ({
          id,
          askedAt,
          at: askedAt + readAfter + answeredAfter,
          version: versionAt(id, askedAt + readAfter),
        }))
        const seen: typeof answers = []
        const check = () => {
          if (memory.size() > max) throw new Error('larger than its maximum size')
          for (let id = 1; id <= 4; id++)
            for (let version = 1; version <= 5; version++) {
              const recalled = memory.recall(id, version)
              if (!recalled) continue
              const own = seen.filter((answer) => answer.id === id)
              if (recalled.session_version !== version) throw new Error('another version')
              if (own.some((answer) => answer.version === undefined || answer.version > version))
                throw new Error(`user ${id}: version ${version} was seen revoked`)
              if (!own.some((answer) => answer.version === version && clock - answer.askedAt <= freshMs))
                throw new Error('no fresh response has this version')
            }
        }
        const steps = [
          ...answers.map((answer) => ({
            at: answer.at,
            run: () => {
              seen.push(answer)
              memory.note(
                answer.id,
                answer.version === undefined ? undefined : { session_version: answer.version },
                answer.askedAt,
              )
            },
          })),
          ...looks.map((at) => ({ at, run: () => {} })),
        ].sort((a, b) => a.at - b.at)
        for (const { at, run } of steps) {
          clock = at
          run()
          check()
        }
      },
    ),
    { numRuns: 3000 },
  )
})

t.test('a response is used while it is fresh, and only for its own version', async (t) => {
  let clock = 0
  const memory = createSessionMemory({ freshMs, now: () => clock })
  memory.note(1, { session_version: 3 }, 0)
  clock = freshMs
  t.same(memory.recall(1, 3), { session_version: 3 })
  t.equal(memory.recall(1, 2), undefined)
  t.equal(memory.recall(1, 4), undefined)
  clock = freshMs + 1
  t.equal(memory.recall(1, 3), undefined)
  memory.note(1, { session_version: 3 }, clock)
  t.same(memory.recall(1, 3), { session_version: 3 })
  memory.note(1, undefined, clock)
  memory.note(1, { session_version: 3 }, clock)
  t.equal(memory.recall(1, 3), undefined, 'a deleted session is not restored')
})

t.test('with a freshness of 0 nothing is returned', async (t) => {
  let clock = 0
  const memory = createSessionMemory({ freshMs: 0, now: () => clock })
  memory.note(1, { session_version: 1 }, 0)
  clock = 1
  t.equal(memory.recall(1, 1), undefined)
})
