import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { createDatabases } from '../../../src/app/databases.ts'
import { loadInOrder } from '../../../src/app/topology.ts'
import { inspectConfig, readConfig } from '../../../src/config.ts'
import { createShutdown } from '../../../src/platform/boot/shutdown.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { createMetrics } from '../../../src/platform/observability/metrics.ts'
import { createPostgresPools } from '../../../src/platform/queue/postgres-pool.ts'
import { createServerClock } from '../../../src/platform/queue/server-clock.ts'
import { certificateFolder, createAuthority, hasOpenssl } from '../../../testing/certificates.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'
import { startProxy } from '../../../testing/tcp-proxy.ts'

t.setTimeout(120_000)

/** Whether the connection is encrypted. */
const encrypted = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'

const drivers: Record<string, (url: string) => Promise<boolean | undefined>> = {
  'postgres.js': async (url) => {
    const db = createDatabase({ url, max: 1, statementTimeoutMs: 2_000, applicationName: 'tls' })
    try {
      return (await db.run<{ ssl: boolean }>(sql.raw(encrypted)))[0]?.ssl
    } finally {
      await db.close()
    }
  },
  pg: async (url) => {
    const pools = createPostgresPools(url, 'bullmq', createServerClock())
    const pool = pools.open({ max: 1, connectMs: 2_000, statementMs: 2_000 })
    try {
      return (await pool.query<{ ssl: boolean }>(encrypted)).rows[0]?.ssl
    } finally {
      await pool.end()
    }
  },
}

const listensOnIpv6 = (() => {
  try {
    return execFileSync('cat', ['/proc/net/if_inet6']).length > 0
  } catch {
    return false
  }
})()

const skip = hasOpenssl() ? false : 'skipped: openssl is not installed'

t.test('sslmode and sslrootcert mean the same to both drivers', { skip }, async (t) => {
  const plain = await startOwnPostgres()
  const folder = certificateFolder(t)
  const [good, bad] = [createAuthority(folder, 'good'), createAuthority(folder, 'bad')]
  const pair = good.issue('db', 'DNS:localhost')
  t.teardown(() => plain.stop())

  // The server reads both files under its own account.
  const owner = postgres(plain.url, { max: 1, onnotice: () => {} })
  const [place] = await owner<{ data_directory: string }[]>`show data_directory`
  const directory = place?.data_directory as string
  const { uid, gid } = statSync(directory)
  for (const [name, from] of [
    ['server.crt', pair.certFile],
    ['server.key', pair.keyFile],
  ] as const) {
    copyFileSync(from, join(directory, name))
    chownSync(join(directory, name), uid, gid)
    chmodSync(join(directory, name), 0o600)
  }
  const reach = (host: string, port: string | number, search = '') => {
    const url = Object.assign(new URL(plain.url), { hostname: host, port: String(port) })
    return url.href + search
  }
  const own = new URL(plain.url).port

  const both = async (t: Test, url: string, wanted: boolean | 'refused') => {
    for (const [driver, ask] of Object.entries(drivers)) {
      const found = await ask(url).catch(() => 'refused' as const)
      t.equal(found, wanted, `${driver}: ${url.replace(/:\/\/[^@]*@/, '://').replaceAll(dirname(good.caFile), '')}`)
    }
  }

  await t.test('a server without TLS', async (t) => {
    await both(t, reach('127.0.0.1', own), false)
    await both(t, reach('127.0.0.1', own, '?sslmode=prefer'), false)
    await both(t, reach('127.0.0.1', own, '?sslmode=require'), 'refused')
  })

  await owner`alter system set ssl = on`
  await owner`select pg_reload_conf()`
  await owner.end()

  await t.test('a server with TLS, whose certificate names localhost', async (t) => {
    const ca = `&sslrootcert=${encodeURIComponent(good.caFile)}`
    const wrong = `&sslrootcert=${encodeURIComponent(bad.caFile)}`
    await both(t, reach('127.0.0.1', own), false)
    await both(t, reach('127.0.0.1', own, '?sslmode=disable'), false)
    await both(t, reach('127.0.0.1', own, '?sslmode=prefer'), true)
    await both(t, reach('127.0.0.1', own, '?sslmode=require'), true)
    await both(t, reach('127.0.0.1', own, `?sslmode=require${ca}`), true)
    await both(t, reach('127.0.0.1', own, `?sslmode=require${wrong}`), 'refused')
    await both(t, reach('127.0.0.1', own, `?sslmode=verify-ca${ca}`), true)
    await both(t, reach('127.0.0.1', own, `?sslmode=verify-ca${wrong}`), 'refused')
    await both(t, reach('localhost', own, `?sslmode=verify-full${ca}`), true)
    await both(t, reach('localhost', own, `?sslmode=verify-full${wrong}`), 'refused')
    await both(t, reach('127.0.0.1', own, `?sslmode=verify-full${ca}`), 'refused')
    await both(t, reach('localhost', own, '?sslmode=verify-full'), 'refused')
  })

  await t.test('several hosts, the first of which is down', async (t) => {
    const hosts = (search = '') => reach('127.0.0.1', own, search).replace(`127.0.0.1:${own}`, `127.0.0.1:1,127.0.0.1:${own}`)
    await both(t, hosts(), false)
    await both(t, hosts('?sslmode=require'), true)
  })

  await t.test('IPv6', { skip: listensOnIpv6 ? false : 'skipped: IPv6 is not available' }, async (t) => {
    const proxy = await startProxy(Number(own), '::1')
    t.teardown(() => proxy.stop())
    await both(t, reach('[::1]', proxy.port), false)
    await both(t, reach('[::1]', proxy.port, '?sslmode=require'), true)
    const two = reach('[::1]', proxy.port).replace('[::1]', '[::1]:1,[::1]')
    await both(t, two, false)
  })

  await t.test('the configuration refuses contradictory settings', async (t) => {
    const problems = (search: string) => inspectConfig({ DATABASE_URL: `postgres://db/shop${search}` }).problems
    t.same(problems(`?sslmode=verify-full&sslrootcert=${good.caFile}`), [])
    t.same(problems('?sslrootcert=system'), [])
    t.match(problems(`?sslrootcert=${good.caFile}`), [/^DATABASE_URL has sslrootcert, which needs sslmode/])
    t.match(problems(`?sslmode=require&sslrootcert=${folder}/none.pem`), [/sslrootcert that cannot be read \(ENOENT\)/])
    t.match(problems(`?sslmode=require&sslrootcert=${pair.keyFile}`), [/sslrootcert that holds no certificate in PEM/])
    t.match(problems('?sslmode=require&sslrootcert=system'), [/needs sslmode=verify-full/])
    t.match(problems('?target_session_attrs=standby'), [/wrong value of target_session_attrs; it is one of any, read-write/])
  })
})

t.test('in production, an unencrypted connection to another host logs one warning', async (t) => {
  const definitions = await loadInOrder(['order', 'user'])
  const warnings = (url: string, production = true) => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
    const config = { ...readConfig({ DATABASE_URL: url, REDIS_URL: 'redis://127.0.0.1' }), production }
    const shutdown = createShutdown(log)
    createDatabases({ definitions, config, metrics: createMetrics(), log, shutdown })
    t.teardown(() => shutdown.run())
    return lines
  }
  t.match(warnings('postgres://db.example/shop'), [/connections are not encrypted: add sslmode=verify-full/])
  t.match(warnings('postgres://127.0.0.1,db.example/shop?sslmode=prefer'), [/not encrypted/])
  for (const url of ['postgres://db.example/shop?sslmode=require', 'postgres://localhost/shop', 'postgres://[::1]/shop'])
    t.same(warnings(url), [], url)
  t.same(warnings('postgres://db.example/shop', false), [])
})
