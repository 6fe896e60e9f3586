import { setTimeout as delay } from 'node:timers/promises'

/**
 * `smoke.ts BASE_URL`: smoke test of a deployment; changes nothing. SMOKE_EMAIL and SMOKE_PASSWORD: a separate account.
 * SMOKE_WAIT_SECONDS (120): how long the deployment may take to become ready.
 */
const { SMOKE_EMAIL: email, SMOKE_PASSWORD: password, SMOKE_WAIT_SECONDS: wait = '120' } = process.env
const base = process.argv[2]
if (!base || !email || !password) {
  console.error('usage: SMOKE_EMAIL=… SMOKE_PASSWORD=… smoke.ts BASE_URL')
  process.exit(64)
}

interface Answer {
  readonly status: number
  readonly body: { readonly status?: string; readonly code?: string; readonly data?: Record<string, unknown> | unknown[] }
}

const call = async (path: string, init: RequestInit = {}): Promise<Answer> => {
  const response = await fetch(new URL(path, base), { redirect: 'error', signal: AbortSignal.timeout(10_000), ...init })
  const text = await response.text()
  if (!response.headers.get('content-type')?.includes('json')) throw new Error(`${path}: ${response.status} is not JSON`)
  return { status: response.status, body: JSON.parse(text) }
}

const expect = async (
  what: string,
  answer: Promise<Answer>,
  status: number,
  holds: (body: Answer['body']) => boolean = () => true,
) => {
  const { status: got, body } = await answer
  if (got !== status || !holds(body)) throw new Error(`${what}: ${got} ${body.code ?? ''}, expected ${status}`)
  console.log(`ok - ${what}`)
  return body
}

const bearer = (token: unknown): RequestInit => ({ headers: { authorization: `Bearer ${token}` } })

const untilReady = async () => {
  const deadline = Date.now() + Number(wait) * 1000
  for (;;) {
    const answer = await call('/health/ready').catch((error: Error) => error)
    if (!(answer instanceof Error) && answer.status === 200) return
    if (Date.now() > deadline) throw new Error(`not ready: ${answer instanceof Error ? answer.message : answer.status}`)
    await delay(1000)
  }
}

const smoke = async () => {
  await untilReady()
  await expect('is healthy', call('/health'), 200, ({ status }) => status === 'healthy')
  await expect('shows the catalogue to anyone', call('/api/v1/products'), 200, ({ data }) => Array.isArray(data))
  await expect('refuses a request without a token', call('/api/v1/orders'), 401, ({ code }) => code === 'auth.required')
  await expect('refuses an invalid token', call('/api/v1/orders', bearer('made.up.token')), 401)
  const { data } = await expect(
    'signs in',
    call('/api/v1/auth/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    }),
    200,
  )
  const token = (data as { access_token?: unknown } | undefined)?.access_token
  await expect('returns the account', call('/api/v1/auth/me', bearer(token)), 200)
  await expect('lists orders', call('/api/v1/orders', bearer(token)), 200, ({ data }) => Array.isArray(data))
}

await smoke().catch((error: Error) => {
  console.error(`not ok - ${error.message}`)
  process.exit(1)
})
