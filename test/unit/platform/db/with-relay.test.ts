import { sql } from 'drizzle-orm'
import t from 'tap'
import type { Database } from '../../../../src/platform/db/database.ts'
import { withRelay } from '../../../../src/platform/db/with-relay.ts'

interface Row {
  readonly id: number | null
}

/** A database whose statement returns these rows, or fails, when `finish` is called. */
const start = (result: Row[] | Error) => {
  const { promise, resolve: finish } = Promise.withResolvers<void>()
  const run = async () => {
    await promise
    if (result instanceof Error) throw result
    return result
  }
  let woken = 0
  const db = withRelay({ run } as unknown as Database, () => {
    woken++
  })
  return { write: (changed?: (row: Row) => boolean) => db.write<Row>(sql`select`, changed), finish, wakes: () => woken }
}

t.test('the relay is woken once, after the commit', async (t) => {
  const { write, finish, wakes } = start([{ id: 1 }, { id: 2 }])
  const writing = write()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(wakes(), 0, 'not while the statement runs')
  finish()
  t.same(await writing, [{ id: 1 }, { id: 2 }])
  t.equal(wakes(), 1)
})

t.test('a statement without changes does not wake the relay', async (t) => {
  const none = start([])
  none.finish()
  t.same(await none.write(), [])
  t.equal(none.wakes(), 0, 'no row')

  const unplaced = start([{ id: null }])
  unplaced.finish()
  await unplaced.write(({ id }) => id !== null)
  t.equal(unplaced.wakes(), 0, 'no changed row')

  const some = start([{ id: null }, { id: 1 }])
  some.finish()
  await some.write(({ id }) => id !== null)
  t.equal(some.wakes(), 1, 'one of several')

  const failed = start(new Error('away'))
  failed.finish()
  await t.rejects(failed.write(), { message: 'away' })
  t.equal(failed.wakes(), 0, 'a failed statement')
})
