import { assertSchemaCompatibility, LATEST_SCHEMA_VERSION, runMigrations, SchemaMigrationRequiredError } from 'bullmq'
import type pg from 'pg'
import { endsWithin } from '../concurrency/deadline.ts'
import { createPostgresPools, type PostgresPools } from './postgres-pool.ts'
import { createServerClock } from './server-clock.ts'

/** BullMQ's schema in PostgreSQL. */
export const schema = 'bullmq'

/**
 * Migrates the schema, safe in several processes at once. An up-to-date schema only needs read rights: a service's login may not
 * change what the owner created (`node dist/migrate.js --logins`).
 */
const bringUpToDate = async (client: pg.ClientBase): Promise<void> => {
  const version = await assertSchemaCompatibility(client as never, schema).catch((error: unknown) => {
    if (error instanceof SchemaMigrationRequiredError) return 0
    throw error
  })
  if (version < LATEST_SCHEMA_VERSION) await runMigrations(client as never, schema)
}

/** The same on its own connection, without a limit: one process migrates, and the others wait for it. */
export const upToDate = async (pools: PostgresPools): Promise<void> => {
  const pool = pools.open({ max: 1, connectMs: 5_000 })
  try {
    const client = await pool.connect()
    await bringUpToDate(client).finally(() => client.release())
  } finally {
    await endsWithin(2_000, pool.end())
  }
}

/** The same for a program that uses the queues for nothing else. */
export const bringQueuesUpToDate = (url: string): Promise<void> => upToDate(createPostgresPools(url, schema, createServerClock()))
