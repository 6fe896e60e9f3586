import t from 'tap'
import { ConfigError, readConfig } from '../../../src/config.ts'

const problemsOf = (env: Record<string, string>): readonly string[] => {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

t.test('an empty environment means development: all modules, on loopback, without providers', async (t) => {
  const config = readConfig({})
  t.match(config, { healthName: 'orderhub', host: '127.0.0.1', port: 5000, metricsPort: 9464, production: false })
  t.match(config, { databaseUrl: undefined, redisUrl: undefined, smtpUrl: undefined, seed: undefined, trustProxy: false })
  t.same(config.selected.toSorted(), ['audit', 'gateway', 'notification', 'order', 'product', 'user'])
  t.equal(readConfig({ NODE_ENV: 'production', KEYS_DIR: '/keys' }).host, '0.0.0.0')
})

t.test('SERVICE takes one name, a list, or all, and sets the default port and the name', async (t) => {
  t.match(readConfig({ SERVICE: 'order' }), { selected: ['order'], port: 5002, healthName: 'order-service' })
  t.match(readConfig({ SERVICE: 'gateway' }), { port: 5000, healthName: 'api-gateway' })
  t.match(readConfig({ SERVICE: ' order , user', PORT: '0' }), { selected: ['user', 'order'], port: 0 })
  t.equal(readConfig({ SERVICE: 'user,all' }).selected.length, readConfig({}).selected.length)
})

t.test('links in e-mails use PUBLIC_URL; in development, by default the gateway of this process', async (t) => {
  t.equal(readConfig({}).publicUrl, 'http://127.0.0.1:5000')
  t.equal(readConfig({ PORT: '5170' }).publicUrl, 'http://127.0.0.1:5170')
  t.equal(readConfig({ PUBLIC_URL: 'https://shop.example' }).publicUrl, 'https://shop.example')
  const nowhere = [{ SERVICE: 'notification' }, { PORT: '0' }, { NODE_ENV: 'production', KEYS_DIR: '/keys' }]
  for (const env of nowhere) t.equal(readConfig(env).publicUrl, undefined)
})

t.test('a module can have its own database URL', async (t) => {
  const config = readConfig({ DATABASE_URL: 'postgres://a/all', ORDER_DATABASE_URL: 'postgresql://b/orders' })
  t.equal(config.databaseUrlOf('order'), 'postgresql://b/orders')
  t.equal(config.databaseUrlOf('user'), 'postgres://a/all')
  t.equal(config.databaseUrlOf('gateway'), undefined, 'a module without data has no database')
})

t.test('a process does not require settings that it does not use', async (t) => {
  const bucket = { AUDIT_ANCHOR: 's3://bucket/prefix' }
  t.same(problemsOf({ ...bucket, SERVICE: 'gateway,order' }), [])
  t.match(problemsOf({ ...bucket, SERVICE: 'gateway,audit' }), [/AWS_ACCESS_KEY_ID/])
})

t.test('all mistakes are listed at once, one line each, with the key', async (t) => {
  const mistakes: Record<string, [value: string, reason: RegExp]> = {
    SERVICE: ['order,audti', /no service "audti".*user/],
    PORT: ['http', /integer.*"http"/],
    METRICS_PORT: ['70000', /65535/],
    DATABASE_URL: ['mysql://x', /postgres:\/\/ or postgresql:\/\//],
    REDIS_URL: ['localhost:6379', /redis:\/\//],
    LOG_LEVEL: ['loud', /fatal.*"loud"/],
    SEED: ['perhaps', /boolean/],
    MAIL_FROM: ['Shop', /must be an address/],
    USER_SERVICE_URL: ['user:5001', /must start with/],
    REDIS_HOST: ['x', /not a key/],
    ORDER_DATABASE: ['x', /not a key/],
  }
  const problems = problemsOf(Object.fromEntries(Object.entries(mistakes).map(([key, [value]]) => [key, value])))
  t.equal(problems.length, Object.keys(mistakes).length)
  for (const [key, [, reason]] of Object.entries(mistakes)) {
    const own = problems.filter((problem) => new RegExp(`^${key}\\b`).test(problem))
    t.equal(own.length, 1, key)
    t.match(own[0], reason)
  }
  t.notOk(problems.some((problem) => problem.includes('\n')))
})

t.test("other programs' keys, service links of Kubernetes and empty values are no mistakes", async (t) => {
  t.same(
    problemsOf({
      USER: 'root',
      MAIL: '/var/mail/root',
      PATH: '/bin',
      OTEL_SERVICE_NAME: 'orderhub',
      ORDER_SERVICE_HOST: '10.0.0.1',
      ORDER_SERVICE_PORT: '5002',
      ORDER_SERVICE_PORT_HTTP: '5002',
      USER_PORT: 'tcp://10.0.0.1:5001',
      USER_PORT_5001_TCP: 'tcp://10.0.0.1:5001',
      USER_PORT_5001_TCP_ADDR: '10.0.0.1',
      REDIS_URL: '',
      PORT: '',
    }),
    [],
  )
})

t.test('TRUST_PROXY is false, true, a number of hops, or addresses', async (t) => {
  t.equal(readConfig({ TRUST_PROXY: 'true' }).trustProxy, true)
  t.same(readConfig({ TRUST_PROXY: '10.0.0.0/8, 127.0.0.1' }).trustProxy, ['10.0.0.0/8', '127.0.0.1'])
  const { trustProxy } = readConfig({ TRUST_PROXY: '2' })
  t.same(typeof trustProxy === 'function' && [0, 1, 2].map((hop) => trustProxy('x', hop)), [true, true, false])
})

t.test('AUTH=off is refused in production, and on is the default', async (t) => {
  t.same([readConfig({}).auth, readConfig({ AUTH: 'off' }).auth], [true, false])
  const production = { NODE_ENV: 'production', KEYS_DIR: '/keys' }
  t.same(problemsOf(production), [])
  t.same(problemsOf({ ...production, AUTH: 'off' }), ['AUTH=off is refused with NODE_ENV=production'])
  t.equal(problemsOf({ ...production, AUTH: 'maybe' }).length, 1)
})

t.test('WORKERS limits the concurrent events of a process', async (t) => {
  t.equal(readConfig({}).workers, 10)
  t.equal(readConfig({ WORKERS: '3' }).workers, 3)
  t.throws(() => readConfig({ WORKERS: '0' }), { message: /WORKERS must be >= 1/ })
  t.throws(() => readConfig({ WORKERS_MAX: '3' }), { message: /WORKERS_MAX is not a key/ })
})
