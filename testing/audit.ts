import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import postgres from 'postgres'
import type { Test } from 'tap'
import { serviceNames } from '../src/environment.ts'
import { createEntryRepository } from '../src/modules/audit/repository.ts'
import type { Anchor } from '../src/modules/audit/sealing/anchor.ts'
import { createAnchoring } from '../src/modules/audit/sealing/anchoring.ts'
import { createSealRepository } from '../src/modules/audit/sealing/repository.ts'
import { createSealer } from '../src/modules/audit/sealing/sealer.ts'
import { type AuditEntry, signEntry } from '../src/platform/audit/entry.ts'
import { createDatabase, type Database } from '../src/platform/db/database.ts'
import { newUuid } from '../src/platform/ids.ts'
import { initKeys } from '../src/platform/keys/key-files.ts'
import { createKeyStore, type KeyStore } from '../src/platform/keys/key-store.ts'
import { startPostgres, type TestPostgres } from './postgres.ts'

const services = ['user', 'order', 'product', 'notification', 'gateway'] as const

/** An entry as a producer creates it, different for each n: with text in two scripts, numbers, null and nested objects. */
export const sampleEntry = (keys: KeyStore, n: number, changes: Partial<AuditEntry> = {}): AuditEntry =>
  signEntry(keys, services[n % services.length] as string, {
    event_id: newUuid(),
    timestamp: new Date(Date.UTC(2026, 0, 1) + n * 61_007).toISOString(),
    trace_id: n.toString(16).padStart(32, '0'),
    span_id: n.toString(16).padStart(16, '0'),
    actor: { type: n % 7 === 0 ? 'anonymous' : 'user', id: n % 7 === 0 ? null : String(n % 13) },
    resource: { type: 'order', id: String(n), version: n % 5 === 0 ? null : n },
    action: n % 3 === 0 ? 'POST /api/v1/products' : 'order.created',
    decision: n % 3 === 0 ? 'denied' : 'approved',
    policy_version: '2026-11-23.1',
    compliance_tags: n % 2 === 0 ? ['financial'] : [],
    details: { n, price: n / 8, tiny: 1e-7, note: '訂單 "é"', none: null, items: [{ quantity: n }] },
    ...changes,
  })

export interface AuditDatabase {
  readonly url: string
  readonly keys: KeyStore
  readonly keysDir: string
  readonly postgres: TestPostgres
  /** The connection of the superuser. */
  readonly sql: postgres.Sql<{ int8: number }>
  /** The connection of the service, in the role orderhub_audit. */
  readonly db: Database
  readonly entries: ReturnType<typeof createEntryRepository>
  readonly seals: ReturnType<typeof createSealRepository>
  sealer(options?: { everyEntries?: number; everyMs?: number; anchor?: Anchor; keys?: KeyStore }): ReturnType<typeof createSealer>
}

/** The audit module's database with its keys, without a service; removed when the test ends. */
export const startAuditDatabase = async (t: Test): Promise<AuditDatabase> => {
  const server = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-audit-'))
  const keysDir = join(folder, 'keys')
  await initKeys(keysDir, serviceNames)
  const url = await server.createDatabase('audit', ['audit'])
  const int8 = { to: 20, from: [20], parse: Number, serialize: String }
  const sql = postgres(url, { max: 1, onnotice: () => {}, types: { int8 } })
  const db = createDatabase({ url, max: 4, statementTimeoutMs: 60_000, applicationName: 'test', role: 'orderhub_audit' })
  const keys = createKeyStore({ folder: keysDir, strict: false })
  t.teardown(async () => {
    await sql.end()
    await db.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const seals = createSealRepository(db)
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' })
  return {
    url,
    keys,
    keysDir,
    postgres: server,
    sql,
    db,
    entries: createEntryRepository(db),
    seals,
    sealer: (options = {}) =>
      createSealer({
        repository: seals,
        keys: options.keys ?? keys,
        anchoring: options.anchor && createAnchoring({ repository: seals, keys, anchor: options.anchor, log }),
        log,
        ...(options.everyEntries ? { everyEntries: options.everyEntries } : {}),
        ...(options.everyMs ? { everyMs: options.everyMs } : {}),
      }),
  }
}
