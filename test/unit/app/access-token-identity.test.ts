import t from 'tap'
import { createIdentify, type IdentityOptions } from '../../../src/app/access-token-identity.ts'
import { anonymous, type CallContext } from '../../../src/platform/context.ts'
import { failWith } from '../../../src/platform/errors.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { errors } from '../../../src/registry.ts'
import { signedIn } from '../../../testing/people.ts'

const fail = failWith(errors)

const keysDir = t.testdir()
await initKeys(keysDir, ['user'])
const token = (await signedIn(keysDir, 7)).authorization?.replace('Bearer ', '') as string
const context = (): CallContext => ({
  deadline: Date.now() + 10_000,
  actor: anonymous,
  traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`,
  requestId: 'a',
  policyVersion: '',
  role: null,
  scope: 'all',
})

type Sessions = NonNullable<IdentityOptions['sessions']>
const good: Sessions = async ({ ids }) => ids.map((id) => ({ id, role: 'user', session_version: 1, mfa_satisfied: true }))
const away: Sessions = () => Promise.reject(fail('user.unavailable'))
const silent: Sessions = () => new Promise(() => {})

/** An identity check with replaceable responses: `answers.from` is the current one. */
const identityOf = (staleMs: number) => {
  const answers = { from: good }
  const warned: string[] = []
  let stale = 0
  const identify = createIdentify({
    keys: createKeyStore({ folder: keysDir, strict: false }),
    sessions: (input, call) => answers.from(input, call),
    oidc: undefined,
    staleMs,
    onStale: () => {
      stale += 1
    },
    log: { warn: (_fields: unknown, text?: string) => warned.push(text ?? '') } as never,
  })
  return { answers, warned, stale: () => stale, ask: (reading: boolean) => identify(token, context(), reading) }
}
const owner = { actor: { type: 'user', id: '7' }, role: 'user' }

t.test('while the user service does not respond, reads continue and writes are refused', async (t) => {
  const { answers, warned, stale, ask } = identityOf(60_000)
  t.match(await ask(true), owner)
  for (const nothing of [away, silent, away]) {
    answers.from = nothing
    t.match(await ask(true), owner)
  }
  answers.from = away
  await t.rejects(ask(false), { code: 'user.unavailable' })
  t.equal(stale(), 3)
  t.equal(warned.length, 1)
  answers.from = good
  t.match(await ask(false), owner)
  t.equal(warned.length, 2)
  await ask(true)
  t.equal(warned.length, 2)
  t.equal(stale(), 3)
})

t.test('a refusal and an empty result are valid responses, so no stale data is used', async (t) => {
  const { answers, stale, ask } = identityOf(60_000)
  await ask(true)
  answers.from = () => Promise.reject(fail('auth.forbidden'))
  await t.rejects(ask(true), { code: 'auth.forbidden' })
  answers.from = async () => []
  await t.rejects(ask(true), { code: 'auth.invalid_token' })
  answers.from = away
  await t.rejects(ask(true), { code: 'user.unavailable' })
  t.equal(stale(), 0)
})

t.test('0 turns stale sessions off', async (t) => {
  const { answers, ask } = identityOf(0)
  await ask(true)
  answers.from = away
  await t.rejects(ask(true), { code: 'user.unavailable' })
})
