import { once } from 'node:events'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import pg from 'pg'
import postgres from 'postgres'
import t from 'tap'
import { request } from 'undici'
import { isConnectionError, isNotSent } from '../../../src/platform/connection-error.ts'
import { freePort } from '../../../testing/port.ts'

/** Makes each client connect to the port. */
const clients: Readonly<Record<string, (port: number) => Promise<unknown>>> = {
  'postgres.js': async (port) => {
    const sql = postgres({ host: '127.0.0.1', port, max: 1, connect_timeout: 2 })
    return sql`select 1`.finally(() => sql.end({ timeout: 0 }))
  },
  pg: async (port) => {
    const client = new pg.Client({ host: '127.0.0.1', port, connectionTimeoutMillis: 200 })
    client.on('error', () => {})
    return client.connect()
  },
  ioredis: async (port) => {
    const redis = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null })
    let last: unknown
    redis.on('error', (error) => {
      last = error
    })
    return redis.ping().catch((error) => {
      throw last ?? error
    })
  },
  undici: (port) => request(`http://127.0.0.1:${port}/`),
}

t.test('a closed port: nothing was sent', async (t) => {
  const port = await freePort()
  for (const [name, connect] of Object.entries(clients)) {
    const error = await connect(port).catch((thrown: unknown) => thrown)
    t.ok(isConnectionError(error), `${name}: ${error}`)
    t.ok(isNotSent(error), `${name}: ${error}`)
  }
})

t.test('a server that closes the connection: something may have been sent', async (t) => {
  const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const { undici: _http, ...others } = clients
  for (const [name, connect] of Object.entries(others)) {
    const error = await connect(port).catch((thrown: unknown) => thrown)
    t.ok(isConnectionError(error), `${name}: ${error}`)
    t.notOk(isNotSent(error), `${name}: ${error}`)
  }
})

const coded = (code: string, message = 'no') => Object.assign(new Error(message), { code })

t.test('error codes distinguish an unusable server from a refused statement', async (t) => {
  for (const code of ['08006', '57P01', '57P05', '53300', '53100', '25006', '25P02', 'CONNECTION_CLOSED', 'CONNECT_TIMEOUT'])
    t.ok(isConnectionError(coded(code)), code)
  for (const code of ['23505', '57014', '40001', '25001', '22P02', 'ERR_INVALID_URL', 'UND_ERR_INVALID_ARG'])
    t.notOk(isConnectionError(coded(code)), code)
  t.ok(isConnectionError(new AggregateError([coded('ECONNREFUSED'), coded('ENETUNREACH')])))
  for (const other of [undefined, null, 'ECONNREFUSED', {}]) t.notOk(isConnectionError(other))
})

t.test('text from a client does not turn a statement error into a connection error', async (t) => {
  const message = 'invalid input syntax for type integer: "connection is closed"'
  t.notOk(isConnectionError(coded('22P02', message)))
  t.ok(isConnectionError(new Error('Connection is closed.')))
})
