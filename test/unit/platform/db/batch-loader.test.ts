import t from 'tap'
import { coalesce } from '../../../../src/platform/db/batch-loader.ts'
import { fail } from '../../../../src/platform/errors.ts'

const start = (answer: (inputs: readonly number[]) => readonly number[] = (inputs) => inputs.map((input) => input * 2)) => {
  const calls: number[][] = []
  const gates: (() => void)[] = []
  const ask = coalesce(
    async (inputs: readonly number[]) => {
      calls.push([...inputs])
      await new Promise<void>((resolve) => gates.push(resolve))
      return answer(inputs)
    },
    { max: 3, lanes: 1 },
  )
  const release = async () => {
    while (gates.length === 0) await new Promise((resolve) => setImmediate(resolve))
    gates.shift()?.()
  }
  return { ask, calls, release }
}

t.test('inputs that arrive during a call are batched, at most `max`, each with its own output', async (t) => {
  const { ask, calls, release } = start()
  const first = ask(1)
  await new Promise((resolve) => setImmediate(resolve))
  const rest = [2, 3, 4, 5].map(ask)
  for (let n = 0; n < 3; n++) await release()
  t.same(await Promise.all([first, ...rest]), [2, 4, 6, 8, 10])
  t.same(calls, [[1], [2, 3, 4], [5]])
})

t.test('an error of one input does not affect the others', async (t) => {
  const { ask, calls, release } = start((inputs) => {
    if (inputs.includes(2)) throw new Error('two')
    return inputs
  })
  const asked = Promise.allSettled([1, 2, 3].map(ask))
  for (let n = 0; n < 4; n++) await release()
  t.same(
    (await asked).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  t.same(calls, [[1, 2, 3], [1], [2], [3]])
})

t.test('an unavailable database is queried once for the whole batch', async (t) => {
  const { ask, calls, release } = start(() => {
    throw fail('database.unavailable')
  })
  const asked = Promise.allSettled([1, 2, 3].map(ask))
  await release()
  t.same(
    (await asked).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
  t.equal(calls.length, 1)
})
