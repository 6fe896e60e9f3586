import t, { type Test } from 'tap'
import { type RunningApp, runApp } from '../../../testing/app.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type Provider, startProviders, type TestProviders } from '../../../testing/providers.ts'

t.setTimeout(180_000)

interface Note {
  event_id: string
  channel: 'email' | 'sms'
  status: string
  attempts: number
  uncertain_at: string | null
}

interface Place extends Pick<RunningApp, 'api'> {
  readonly providers: TestProviders
}

const attempts = 5

const start = async (t: Test, env: Record<string, string>): Promise<Place> => {
  const providers = await startProviders()
  const { api } = await runApp(t, { ...env, ...providers.env }, { queue: { attempts, backoffMs: 100 } })
  t.teardown(() => providers.stop())
  return { api, providers }
}

const order = async ({ api }: Place): Promise<number> => {
  const { body } = await api('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
  return body.data.id
}

/** Waits until the order's message on a channel is as `wanted`. */
const note = ({ api }: Place, orderId: number, channel: string, wanted: (note: Note) => boolean): Promise<Note> =>
  eventually(
    async () => {
      const { data } = (await api(`/notifications?order_id=${orderId}`)).body
      const found = data.find((one: Note) => one.channel === channel)
      if (!found || !wanted(found)) throw new Error(JSON.stringify(data))
      return found
    },
    { timeoutMs: 20_000, everyMs: 5 },
  )

const isSent = ({ status }: Note) => status === 'sent'

const deadLetters = async ({ api }: Place) => (await api('/notifications/dead-letters')).body.data

/** Both channels have delivered the order's message exactly once. */
const sentOnce = async (t: Test, place: Place, orderId: number) => {
  for (const channel of ['email', 'sms'] as const) {
    const { event_id } = await note(place, orderId, channel, isSent)
    t.equal(place.providers[channel].copies(event_id).length, 1, `one copy by ${channel}`)
  }
}

await onEachBackend(t, 'delivery', async (t, env) => {
  const place = await start(t, env)
  const { email, sms } = place.providers
  const both: Provider<unknown>[] = [email, sms]
  const behave = (behaviour: Parameters<typeof email.behave>[0]) => {
    for (const provider of both) provider.behave(behaviour)
  }
  t.afterEach(() => behave('accept'))

  await t.test('each channel delivers once', async (t) => sentOnce(t, place, await order(place)))

  for (const behaviour of ['refuse', 'close'] as const) {
    await t.test(`a provider that is down for a while (${behaviour}): retried, then sent once`, async (t) => {
      const before = both.map((provider) => provider.refusals())
      behave(behaviour)
      const id = await order(place)
      await eventually(() => both.every((provider, n) => provider.refusals() >= (before[n] ?? 0) + 2))
      behave('accept')
      await sentOnce(t, place, id)
      t.ok((await note(place, id, 'sms', isSent)).attempts >= 3)
      t.same(await deadLetters(place), [])
    })
  }

  await t.test('a provider whose response is lost: status uncertain, and sent again with the same key', async (t) => {
    behave('lose')
    const id = await order(place)
    for (const channel of ['email', 'sms'] as const) {
      const doubtful = await note(place, id, channel, ({ status }) => status === 'uncertain')
      t.match(doubtful, { uncertain_at: String, sent_at: null })
    }
    behave('accept')
    for (const channel of ['email', 'sms'] as const) {
      const sent = await note(place, id, channel, isSent)
      t.ok(sent.uncertain_at, 'it stays recorded that there may be two copies')
      t.ok(place.providers[channel].copies(sent.event_id).length >= 2, 'all copies have the same key')
    }
  })

  // Independent of the queue, and as slow as the provider's timeout: run with one backend only.
  const silent = async (t: Test) => {
    behave('hang')
    const id = await order(place)
    const [mail] = await Promise.all([
      note(place, id, 'email', ({ status }) => status === 'failed'),
      note(place, id, 'sms', ({ status }) => status === 'uncertain'),
    ])
    t.equal(mail.uncertain_at, null)
    behave('accept')
    await sentOnce(t, place, id)
  }
  if (env.REDIS_URL === undefined)
    await t.test('a provider that does not respond: uncertain only if the message was sent', silent)

  await t.test('a provider that always refuses: a dead letter with the reason, and a replay', async (t) => {
    sms.behave('refuse')
    const id = await order(place)
    const [letter] = await eventually(async () => {
      const letters = await deadLetters(place)
      return letters.length > 0 && letters
    })
    const failed = await note(place, id, 'sms', ({ status }) => status === 'failed')
    t.match(letter, { event_id: failed.event_id, type: 'order.created', reason: /SMS: 429/, attempts })
    t.match(letter.event, { id: failed.event_id, data: { order_id: id } })
    t.match(failed, { attempts, reason: 'SMS: 429' })
    t.equal(email.copies(failed.event_id).length, 1, 'the other channel delivered it once')

    const replay = () => place.api(`/notifications/dead-letters/${failed.event_id}/replay`, 'POST')
    const again = await replay()
    t.equal(again.status, 202)
    await eventually(async () => {
      const { attempts: more } = await note(place, id, 'sms', ({ status }) => status === 'failed')
      return more === 2 * attempts
    })
    const [kept, ...others] = await deadLetters(place)
    t.same(others, [])
    t.match(kept, { event_id: failed.event_id }, 'the dead letter stays while it fails')

    sms.behave('accept')
    t.equal((await replay()).status, 202)
    await sentOnce(t, place, id)
    await eventually(async () => (await deadLetters(place)).length === 0)
    t.equal((await replay()).status, 404)
  })
})
