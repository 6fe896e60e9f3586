import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'

const digest = `sha256:${'a'.repeat(64)}`
type Metrics = Record<'ready' | 'unready' | 'others' | 'degraded' | 'traffic' | 'errors' | 'p99', number>
const good: Metrics = { ready: 3, unready: 0, others: 0, degraded: 0, traffic: 20, errors: 0, p99: 0.05 }

/** Identifies a query of the watch. */
const asked = (query: string): keyof Metrics => {
  if (query.includes('"Degraded"')) return 'degraded'
  if (query.includes('histogram_quantile')) return 'p99'
  if (query.includes('status=~')) return 'errors'
  if (query.includes('http_requests_total')) return 'traffic'
  if (query.includes('unless on (namespace, pod) ')) return 'others'
  return query.includes('unless') ? 'unready' : 'ready'
}

/** Runs the watch against a Prometheus that returns these metrics in order, then repeats the last ones; null is an error response. */
const watch = async (t: Test, steps: readonly (Partial<Metrics> | null)[], options: readonly string[] = []) => {
  let questions = 0
  const server = createServer(async (request, response) => {
    t.equal(request.headers.authorization, 'Bearer let-me-read')
    const query = new URLSearchParams(await text(request)).get('query') ?? ''
    const step = steps[Math.min(Math.floor(questions++ / 7), steps.length - 1)]
    if (step === null) return response.writeHead(503).end()
    const value = { ...good, ...step }[asked(query)]
    return response.end(
      JSON.stringify({ status: 'success', data: { resultType: 'vector', result: [{ metric: {}, value: [0, `${value}`] }] } }),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const args = ['--interval-seconds=0.02', '--hold-seconds=0.1', '--deadline-seconds=5', ...options]
  const child = spawn(
    process.execPath,
    ['deploy/release/watch.ts', '--namespace=orderhub-staging', `--digest=${digest}`, ...args],
    {
      env: {
        ...process.env,
        PROMETHEUS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        PROMETHEUS_TOKEN: 'let-me-read',
      },
    },
  )
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { status, last: output.trim().split('\n').at(-1), questions }
}

t.test('a release that stays healthy is complete', async (t) => {
  const { status, last, questions } = await watch(t, [
    { ready: 0, others: 3 },
    { ready: 1, unready: 1, others: 2 },
    { others: 1 },
    {},
  ])
  t.equal(status, 0)
  t.equal(last, 'complete and healthy')
  t.ok(questions > 7 * 4, 'it measured for the whole hold time')
})

for (const [what, bad, reason] of [
  ['errors of its own pods', { errors: 2, others: 2 }, 'roll back: success rate 0.9000'],
  ['slow responses', { p99: 0.9, others: 2 }, 'roll back: p99 0.900 s'],
  ['an abort by Argo Rollouts', { degraded: 1, ready: 0, others: 3 }, 'roll back: Argo Rollouts aborted it'],
] as const) {
  t.test(`${what} cause a rollback`, async (t) => t.match(await watch(t, [{ others: 2 }, bad]), { status: 1, last: reason }))
}

t.test('a single bad measurement does not cause a rollback', async (t) =>
  t.match(await watch(t, [{ errors: 2 }, {}, { p99: 3 }, {}]), { status: 0 }),
)

t.test('with very little traffic, errors do not cause a rollback', async (t) =>
  t.match(await watch(t, [{ traffic: 0.01, errors: 0.005, p99: 3 }]), { status: 0 }),
)

t.test('the rollback of an earlier release does not count', async (t) =>
  t.match(await watch(t, [{ ready: 0, others: 3, degraded: 1 }, { ready: 0, others: 3, degraded: 1 }, {}]), { status: 0 }),
)

t.test('a release that is not complete in time is rolled back', async (t) =>
  t.match(await watch(t, [{ others: 1 }], ['--deadline-seconds=0.3']), {
    status: 1,
    last: 'roll back: not complete in time',
  }),
)

t.test('without metrics a release is not approved', async (t) =>
  t.match(await watch(t, [null], ['--deadline-seconds=0.3']), { status: 1, last: 'roll back: not complete in time' }),
)
