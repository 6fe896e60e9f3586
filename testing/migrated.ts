import type postgres from 'postgres'

/** A template database with the schemas of these modules. The first process that needs it creates it; others wait. */
const template = async (sql: postgres.Sql, server: string, modules: readonly string[]): Promise<string> => {
  const name = `migrated_${modules.toSorted().join('_')}`
  await sql`select pg_advisory_lock(hashtext(${name}))`
  try {
    const [there] = await sql`select from pg_database where datname = ${name} and datistemplate`
    if (there) return name
    await sql`drop database if exists ${sql(name)}`
    await sql`create database ${sql(name)}`
    // Imported only if the template does not exist yet: it loads most of the program.
    const { migrationTargets, runMigrations } = await import('../src/app/migrations.ts')
    const { readConfig } = await import('../src/config.ts')
    const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
    await runMigrations(migrationTargets(readConfig({ SERVICE: modules.join(','), DATABASE_URL: url })))
    // A connection to the template, such as autovacuum's, would make a copy fail.
    await sql`alter database ${sql(name)} with is_template true allow_connections false`
    return name
  } finally {
    await sql`select pg_advisory_unlock(hashtext(${name}))`
  }
}

/** Creates a database with the schemas of these modules. `sql` is the connection of a superuser. */
export const cloneMigrated = async (
  sql: postgres.Sql,
  server: string,
  name: string,
  modules: readonly string[],
): Promise<void> => {
  const source = await template(sql, server, modules)
  await sql`create database ${sql(name)} template ${sql(source)}`
  // A copy does not include the rights on the database.
  await sql`update pg_database set datacl = (select datacl from pg_database where datname = ${source}) where datname = ${name}`
}
