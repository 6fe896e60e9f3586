import { pino } from 'pino'
import t from 'tap'
import { Type } from 'typebox'
import { anonymous, type CallContext, continueTrace } from '../../../../src/platform/context.ts'
import { defineContract } from '../../../../src/platform/contract.ts'
import { failWith } from '../../../../src/platform/errors.ts'
import { createClient, localTransport } from '../../../../src/platform/rpc/client.ts'

const errors = {
  'user.not_found': { status: 404, en: 'gone', 'zh-TW': '無' },
  'user.unavailable': { status: 503, en: 'away', 'zh-TW': '無' },
}
const fail = failWith(errors)
const contract = defineContract({
  name: 'user',
  errors,
  port: 5001,
  ops: {
    rename: { input: Type.Object({ id: Type.Integer(), note: Type.Optional(Type.String()) }), output: Type.Any(), timeoutMs: 40 },
  },
})
interface Input {
  readonly id: number
  readonly note?: string
}
type Rename = (input: Input, context: CallContext) => Promise<unknown>
const api = (rename: Rename) =>
  createClient({
    contract,
    transport: localTransport({ rename: (input, context) => rename(input as Input, context) }),
    log: pino({ level: 'silent' }),
  })
const context = (): CallContext => ({
  deadline: Date.now() + 10_000,
  actor: anonymous,
  traceparent: continueTrace(),
  requestId: 'test-request',
  policyVersion: 'test',
  role: null,
  scope: 'all',
})

t.test('input is validated, and a copy is passed', async (t) => {
  let seen: unknown
  const { rename } = api(async (input) => {
    seen = input
  })
  await t.rejects(rename({ id: 'one' } as never, context()), { code: 'request.invalid' })
  t.equal(seen, undefined, 'the operation is not called')
  const input = { id: 1, note: undefined } as never
  await rename(input, context())
  t.strictSame(seen, { id: 1 })
  t.not(seen, input)
})

t.test('the output is converted through JSON', async (t) => {
  const answer = { at: new Date(0), gone: undefined, more: new Map([[1, 2]]) }
  t.strictSame(await api(async () => answer).rename({ id: 1 }, context()), { at: '1970-01-01T00:00:00.000Z', more: {} })
  t.equal(await api(async () => undefined).rename({ id: 1 }, context()), undefined)
})

t.test('errors of the contract are passed on, all others become <module>.unavailable', async (t) => {
  const refuse = api(() => Promise.reject(fail('user.not_found', { id: 1 }))).rename
  await t.rejects(refuse({ id: 1 }, context()), { code: 'user.not_found', details: { id: 1 } })
  const foreign = failWith({ 'order.gone': { status: 404, en: 'gone', 'zh-TW': '無' } })('order.gone')
  for (const error of [fail('database.unavailable'), foreign, new TypeError('x')])
    await t.rejects(api(() => Promise.reject(error)).rename({ id: 1 }, context()), { code: 'user.unavailable', cause: error })
})

t.test("the shorter of the operation's timeout and the caller's deadline applies", async (t) => {
  const deadlines: number[] = []
  const silent = api((_input, { deadline }) => {
    deadlines.push(deadline)
    return new Promise(() => {})
  }).rename
  const started = Date.now()
  const hurried = { ...context(), deadline: started + 5 }
  await t.rejects(silent({ id: 1 }, context()), { code: 'user.unavailable' })
  await t.rejects(silent({ id: 1 }, hurried), { code: 'user.unavailable' })
  await t.rejects(silent({ id: 1 }, { ...context(), deadline: started - 1 }), { code: 'user.unavailable' })
  t.ok((deadlines[0] ?? 0) <= Date.now() + 40, 'the operation gets the deadline')
  t.equal(deadlines[1], hurried.deadline)
})
