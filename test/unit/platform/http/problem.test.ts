import t from 'tap'
import { failWith } from '../../../../src/platform/errors.ts'
import { problemOf, toFailure } from '../../../../src/platform/http/problem.ts'
import { errors } from '../../../../src/registry.ts'

const fail = failWith(errors)

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

t.test("an error's details are shown, but cannot overwrite the problem's own members", async (t) => {
  const problem = problemOf(fail('order.not_found', { id: 7, status: 'sent', code: 'x', success: true }), 'zh-TW', trace)
  t.match(problem, { id: 7, status: 404, code: 'order.not_found', success: false, detail: '找不到訂單。' })
  t.equal(problem.trace_id, '0af7651916cd43dd8448eb211c80319c')
})

t.test('an unexpected error reveals nothing', async (t) => {
  const problem = problemOf(toFailure(new Error('password is 123')), 'en', trace)
  t.match(problem, { status: 500, code: 'internal' })
  t.notMatch(JSON.stringify(problem), /123/)
  t.notMatch(JSON.stringify(problemOf(fail('database.unavailable', { host: 'db1' }), 'en', trace)), /db1/)
})
