import { existsSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Channel } from '../../../../../src/modules/notification/contract.ts'
import { createAttempt } from '../../../../../src/modules/notification/delivery/attempt.ts'
import type { Outcome } from '../../../../../src/modules/notification/delivery/repository.ts'
import { createProviders } from '../../../../../src/modules/notification/providers.ts'
import type { User } from '../../../../../src/modules/user/contract.ts'
import { fail } from '../../../../../src/modules/user/errors.ts'
import { newUuid } from '../../../../../src/platform/ids.ts'

const log = pino({ level: 'silent' })
const user: User = {
  ...{ id: 2, name: 'Ann', email: 'ann@example.com', phone: '+886900000002', role: 'user', locale: 'en' },
  ...{ email_confirmed: true, phone_confirmed: true, created_at: new Date().toISOString() },
}

/** Sends one message into a folder. The user may be erased after the look-up and before the message is written. */
const sendOne = async (t: Test, channel: Channel, erasedMeanwhile: boolean) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'orderhub-attempt-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  const providers = createProviders({
    ...{ smtpUrl: undefined, mailFrom: 'Shop <a@shop.example>', publicUrl: undefined, smsUrl: undefined, smsFrom: 'Shop' },
    ...{ dataDir, log },
  })
  let erased = false
  const run = async <T>(send: () => Promise<T>): Promise<T> => {
    erased = erasedMeanwhile
    // As the handler of user.deleted does; nothing is written yet.
    if (erased) await providers.forget(user.id)
    return send()
  }
  const outcomes: Outcome[] = []
  const attempt = createAttempt({
    repository: { finish: async (outcome) => void outcomes.push(outcome) },
    users: {
      getUser: async ({ id }) => {
        if (erased) throw fail('user.not_found', { id })
        return user
      },
    },
    providers,
    breakers: { email: { run }, sms: { run } },
    log,
  })
  const message = {
    ...{ id: 1, event_id: newUuid(), event_type: 'order.created', channel, user_id: user.id },
    ...{ content: { order_id: 1, total: 1, currency: 'TWD' }, origin: null, uncertain: false, claim: 1 },
    created_at: new Date().toISOString(),
  }
  await attempt({ message, askedAt: { monotonic: performance.now(), wall: Date.now() } })
  const name = `${message.event_id}${channel === 'email' ? '.eml' : '.sms.json'}`
  return { outcomes, copy: join(dataDir, 'mail', String(user.id), name) }
}

for (const { const: channel } of Channel.anyOf) {
  t.test(`${channel}: a copy is kept for a user`, async (t) => {
    const { outcomes, copy } = await sendOne(t, channel, false)
    t.match(outcomes, [{ status: 'sent' }])
    t.ok(existsSync(copy))
  })

  t.test(`${channel}: no copy is kept for a user who is erased before it is written`, async (t) => {
    const { outcomes, copy } = await sendOne(t, channel, true)
    t.match(outcomes, [{ status: 'sent' }])
    t.notOk(existsSync(copy))
  })
}
