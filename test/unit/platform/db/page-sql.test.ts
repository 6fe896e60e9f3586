import { sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import t from 'tap'
import { allOf, during, equals, pageClauses } from '../../../../src/platform/db/page.sql.ts'

const dialect = new PgDialect()
const textOf = (statement: Parameters<PgDialect['sqlToQuery']>[0]) => {
  const { sql: text, params } = dialect.sqlToQuery(statement)
  return [text, params]
}
const columns = { at: sql`created_at`, id: sql`id` }

t.test('undefined conditions are omitted; false and 0 are values', async (t) => {
  t.same(textOf(allOf([undefined, false])), ['true', []])
  t.same(textOf(allOf([equals(sql`a`, undefined), equals(sql`b`, 0), equals(sql`c`, false), ...during(sql`d`, { to: 'x' })])), [
    'b = $1 and c = $2 and d < $3::timestamptz',
    [0, false, 'x'],
  ])
})

t.test('a page begins after its cursor, in a total order, and reads one extra row', async (t) => {
  t.same(textOf(pageClauses({ limit: 20, after: undefined }, columns)), [
    'where true order by created_at desc, id desc limit $1',
    [21],
  ])
  const after = { at: '2025-01-01T00:00:00Z', id: 7 }
  t.same(textOf(pageClauses({ limit: 20, after }, { ...columns, idType: 'bigint' }, [equals(sql`a`, 1)])), [
    'where (created_at, id) < ($1::timestamptz, $2::bigint) and a = $3 order by created_at desc, id desc limit $4',
    [after.at, 7, 1, 21],
  ])
})
