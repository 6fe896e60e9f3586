import t from 'tap'
import { createEndpoints, isPlainText, parseDatabaseUrl, pgOptions, postgresJsOptions } from '../../../../src/platform/db/url.ts'

t.test('a URL means the same to both drivers', async (t) => {
  const cases: Record<string, object> = {
    'postgres://me:p%40s%2Fs@db:5433/shop': { endpoints: [{ host: 'db', port: 5433 }], login: { user: 'me', password: 'p@s/s' } },
    'postgresql://me:p@ss@db/shop': { endpoints: [{ host: 'db', port: 5432 }], login: { user: 'me', password: 'p@ss' } },
    'postgres://me@a:1,b,[::1]:3,[fe80::2]/shop': {
      endpoints: [
        { host: 'a', port: 1 },
        { host: 'b', port: 5432 },
        { host: '::1', port: 3 },
        { host: 'fe80::2', port: 5432 },
      ],
    },
    'postgres:///shop': { endpoints: [{ host: 'localhost', port: 5432 }], login: { database: 'shop' } },
    'postgres://me@%2Fvar%2Frun%2Fpostgresql/shop': { endpoints: [{ host: '/var/run/postgresql', port: 5432 }] },
    'postgres://db/shop?target_session_attrs=any': { writes: false, tls: 'disable' },
    'postgres://db/shop?sslrootcert=system': { writes: true, tls: 'verify-full', rootCertificates: undefined },
  }
  for (const [url, wanted] of Object.entries(cases)) t.match(parseDatabaseUrl(url), wanted, url)
  const address = parseDatabaseUrl('postgres://me:pw@[::1]:6000/shop?sslmode=verify-full')
  const [endpoint] = address.endpoints as [{ host: string; port: number }]
  t.match(postgresJsOptions(address, endpoint), { host: '::1', port: 6000, user: 'me', password: 'pw', database: 'shop' })
  t.match(pgOptions(address, endpoint), { host: '::1', port: 6000, user: 'me', password: 'pw', database: 'shop' })
  t.match(postgresJsOptions(address, endpoint).ssl, { rejectUnauthorized: true })
  t.match(pgOptions(address, endpoint).ssl, { rejectUnauthorized: true })
})

t.test('an invalid database URL is refused, without its password in the message', async (t) => {
  for (const url of ['mysql://me:hunter2@db/x', 'postgres://me:hunt#er2@db/x', 'hunter2', 'postgres://me:hunter2@db:port/x']) {
    let message = ''
    try {
      parseDatabaseUrl(url)
    } catch (error) {
      message = String((error as Error).message)
    }
    t.not(message, '', url)
    t.notMatch(message, /hunt/)
  }
})

t.test('plain text means a connection that leaves this host without guaranteed TLS', async (t) => {
  const plain = (url: string) => isPlainText(parseDatabaseUrl(url))
  t.same(['postgres://db/x', 'postgres://127.0.0.1,db/x', 'postgres://db/x?sslmode=prefer'].map(plain), [true, true, true])
  t.same(['postgres://[::1]/x', 'postgres://localhost/x', 'postgres://db/x?sslmode=require'].map(plain), [false, false, false])
})

t.test('connections that fail together switch to the next server, not past it', async (t) => {
  const endpoints = createEndpoints(parseDatabaseUrl('postgres://a,b/x'))
  const first = endpoints.current()
  for (const _ of [1, 2, 3]) endpoints.failed(first)
  t.equal(endpoints.current().host, 'b')
  endpoints.failed(endpoints.current())
  t.equal(endpoints.current().host, 'a')
})
