import t from 'tap'
import { runApp } from '../support/app.ts'
import { signedIn } from '../support/people.ts'
import { exchange, type RawAnswer } from '../support/raw-exchange.ts'
import { rawRequests } from '../support/raw-requests.ts'
import { runSplit } from '../support/split.ts'

t.setTimeout(240_000)

const env = { AUTH: 'on', CORS_ORIGINS: 'https://shop.example' }
const whole = await runApp(t, env)
const split = await runSplit(t, env)
const forms = { whole, split: split.gateway }

/** Different each time, or of the connection. */
const volatile = ['date', 'x-request-id', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'last-modified']

/** `work` for each item, for so many at a time. */
const inTurns = async <T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = []
  const entries = items.entries()
  const worker = async () => {
    for (const [n, item] of entries) results[n] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

/** What a client can tell one answer from another by. */
const seen = ({ status, headers, body }: RawAnswer) => {
  const problem = /problem\+json/.test(headers['content-type'] ?? '') && body !== '' ? JSON.parse(body) : {}
  const { trace_id, ...said } = problem
  const told = Object.fromEntries(Object.entries(headers).filter(([name]) => !volatile.includes(name)))
  return { status, ...said, traced: trace_id !== undefined, identified: 'x-request-id' in headers, headers: told }
}

t.test('the platform answers alike in one process and split, whatever the request line', async (t) => {
  t.ok(rawRequests.length >= 200, `${rawRequests.length} requests`)
  const admins = {
    whole: (await signedIn(whole.keysDir, 1)).authorization,
    split: (await signedIn(split.services.keysDir, 1)).authorization,
  }
  const ask = (form: keyof typeof forms, bytes: string) =>
    exchange(forms[form].url, bytes.replace('$ADMIN', `Authorization: ${admins[form]}`))
  const statuses = new Map<number, number>()
  const answers = await inTurns(rawRequests, 8, ({ bytes }) => Promise.all([ask('whole', bytes), ask('split', bytes)]))
  for (const [n, { name }] of rawRequests.entries()) {
    const [one, other] = answers[n] as [RawAnswer, RawAnswer]
    statuses.set(one.status, (statuses.get(one.status) ?? 0) + 1)
    t.same(seen(other), seen(one), name)
    t.ok(one.status < 500, `${name}: ${one.status}`)
  }
  t.comment(JSON.stringify([...statuses].sort()))
})
