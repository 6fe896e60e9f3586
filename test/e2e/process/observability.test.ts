import { createServer } from 'node:http'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { createLog } from '../../../src/platform/observability/log.ts'
import { call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(120_000)

const collect = () => {
  const lines: string[] = []
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(...String(chunk).trim().split('\n'))
      done()
    },
  })
  return { lines, stream }
}

t.test('one JSON log line per request, with ids and without personal data', async (t) => {
  const { lines, stream } = collect()
  const { api } = await runApp(t, {}, { log: createLog('trace', 'test', stream) })
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const person = { name: 'Ada Lovelace', email: 'ada@example.org', phone: '+441234567890', locale: 'en' }
  const refused = await api('/users', 'POST', { ...person, age: 36 }, { traceparent, 'x-request-id': 'request-0001' })
  t.equal(refused.status, 400)
  const { status, headers, body } = await api('/users', 'POST', person, { traceparent, 'x-request-id': 'request-0001' })
  t.equal(status, 201)
  t.equal(headers.get('x-request-id'), 'request-0001')
  const order = await api('/orders', 'POST', { user_id: body.data.id, items: [{ product_id: 2, quantity: 1 }] })
  t.equal(order.status, 201)
  await eventually(async () => (await api(`/notifications?order_id=${order.body.data.id}&status=sent`)).body.count === 2)

  const requests = await eventually(() => {
    const found = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
    return found.length >= 3 && found
  })
  const own = requests.filter(({ request_id }) => request_id === 'request-0001')
  t.equal(own.length, 2, 'one line per request')
  t.match(own[1], {
    level: 'info',
    service: 'test',
    method: 'POST',
    route: '/api/v1/users',
    path: '/api/v1/users',
    status: 201,
    duration_ms: Number,
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    actor: 'anonymous',
  })
  const log = lines.join('\n')
  for (const secret of [person.name, person.email, person.phone]) t.notOk(log.includes(secret), 'personal data is not in the log')
})

t.test('fields with secrets or personal data are redacted at any depth of a log call', async (t) => {
  const { lines, stream } = collect()
  const log = createLog('info', 'test', stream)
  log.info(
    { password: 'p1', user: { email: 'e1@example.org', phone: '+886900000009' }, headers: { authorization: 'Bearer x1' } },
    'x',
  )
  log
    .child({ module: 'm' })
    .error({ err: Object.assign(new Error('boom'), { parameters: ['e2@example.org'], query: 'select $1' }) }, 'y')
  const text = lines.join('\n')
  for (const secret of ['p1', 'e1@example.org', '+886900000009', 'Bearer x1', 'e2@example.org'])
    t.notOk(text.includes(`"${secret}"`), secret)
  t.match(text, /\[redacted\]/)
  t.match(text, /boom/)
})

t.test('metrics have their own port', async (t) => {
  const { url, api, metricsUrl } = await runApp(t)
  await api('/products/1')
  await api('/products/999')
  await api('/orders', 'POST', { user_id: 1, items: [{ product_id: 2, quantity: 1 }] })
  await eventually(async () => (await api('/notifications?status=sent')).body.count === 2)
  const { body: text } = await call(metricsUrl)
  for (const line of [
    /^http_requests_total\{method="GET",route="\/api\/v1\/products\/:id",status="200"\} 1$/m,
    /^http_requests_total\{method="GET",route="\/api\/v1\/products\/:id",status="404"\} 1$/m,
    /^http_request_duration_seconds_bucket\{le="\+Inf",method="GET",route="\/api\/v1\/products\/:id",status="200"\} 1$/m,
    /^outbox_depth\{module="order",queue="notification"\} \d+$/m,
    /^outbox_oldest_seconds\{module="order",queue="notification"\} [\d.]+$/m,
    /^queue_depth\{queue="notification",state="waiting"\} \d+$/m,
    /^dead_letters\{module="notification"\} 0$/m,
    /^nodejs_eventloop_lag_seconds [\d.e-]+$/m,
    /^db_pool_wait_seconds_count\{[^}]*\} \d+$/m,
  ]) {
    t.match(text, line)
  }
  t.equal((await call(`${url}/metrics`)).status, 404, 'not on the public port')
})

/** An OpenTelemetry collector, and the environment that exports to it. */
const startCollector = async (t: Test) => {
  const received: string[] = []
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      received.push(Buffer.concat(chunks).toString())
      response.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    collector.closeAllConnections()
    collector.close()
  })
  const address = collector.address()
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
  }
  return { received, env }
}

t.test('with OTEL_EXPORTER_OTLP_ENDPOINT a trace spans the request and the consumer', async (t) => {
  const { received, env } = await startCollector(t)
  const postgres = await startPostgres()
  const DATABASE_URL = await postgres.createDatabase('traced', storingServices)
  const service = await startService('all', {
    DATABASE_URL,
    SEED: 'true',
    DATA_DIR: t.testdir(),
    ...env,
  })
  t.teardown(async () => {
    await service.kill()
    await postgres.stop()
  })
  const trace = 'c0ffee00c0ffee00c0ffee00c0ffee00'
  const order = { user_id: 1, items: [{ product_id: 2, quantity: 1 }] }
  const answer = await call(`${service.url}/api/v1/orders`, 'POST', order, { traceparent: `00-${trace}-00f067aa0ba902b7-01` })
  t.equal(answer.status, 201)
  await eventually(async () => (await call(`${service.url}/api/v1/notifications?status=sent`)).body.count === 2)
  const services = serviceNames.filter((name) => name !== 'gateway')
  const gateway = await startService('gateway', {
    ...Object.fromEntries(services.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, service.url])),
    ...env,
  })
  t.teardown(() => gateway.kill())
  const missing = await call(`${gateway.url}/api/v1/users/2000000000`, 'GET', undefined, {
    traceparent: `00-${trace}-00f067aa0ba902b7-01`,
  })
  t.equal(missing.body.trace_id, trace, 'the service continues the trace of the client')
  t.equal(await service.stop(), 0, 'stops and exports the remaining spans')
  const spans = received
    .flatMap((body) => JSON.parse(body).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap((scope) => scope.spans)
    .filter(({ traceId }) => traceId === trace)
    .map(({ name }) => name)
  t.ok(
    spans.some((name) => /POST/.test(name)),
    'the request',
  )
  t.ok(spans.includes('notification order.created'), 'the consumer, in the same trace')
})
