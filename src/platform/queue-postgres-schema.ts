import { assertSchemaCompatibility, LATEST_SCHEMA_VERSION, runMigrations, SchemaMigrationRequiredError } from 'bullmq'
import pg from 'pg'

/** Where BullMQ keeps its jobs in PostgreSQL. */
export const schema = 'bullmq'

/**
 * Brings the schema up to date, safe from several processes at once. Where it is up to date it needs no right but to read: a
 * service's login may not change what the owner made (`node dist/migrate.js --logins`).
 */
export const bringUpToDate = async (client: pg.ClientBase): Promise<void> => {
  const version = await assertSchemaCompatibility(client as never, schema).catch((error: unknown) => {
    if (error instanceof SchemaMigrationRequiredError) return 0
    throw error
  })
  if (version < LATEST_SCHEMA_VERSION) await runMigrations(client as never, schema)
}

/** The same by a connection of its own. */
export const upToDate = async (connectionString: string): Promise<void> => {
  const client = new pg.Client({ connectionString, application_name: 'orderhub-migrate' })
  await client.connect()
  await bringUpToDate(client).finally(() => client.end())
}
