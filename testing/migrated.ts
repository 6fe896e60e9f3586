import type postgres from 'postgres'

/** A database with the schemas of these modules, to be copied; made by the first who needs it, while others wait. */
const template = async (sql: postgres.Sql, server: string, modules: readonly string[]): Promise<string> => {
  const name = `migrated_${modules.toSorted().join('_')}`
  await sql`select pg_advisory_lock(hashtext(${name}))`
  try {
    const [there] = await sql`select from pg_database where datname = ${name} and datistemplate`
    if (there) return name
    await sql`drop database if exists ${sql(name)}`
    await sql`create database ${sql(name)}`
    // Not imported where the template is there already: it brings most of the program with it.
    const { migrationTargets, runMigrations } = await import('../src/app/migrations.ts')
    const { readConfig } = await import('../src/config.ts')
    const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
    await runMigrations(migrationTargets(readConfig({ SERVICE: modules.join(','), DATABASE_URL: url })))
    // A connection to it, of autovacuum too, would keep others from copying it.
    await sql`alter database ${sql(name)} with is_template true allow_connections false`
    return name
  } finally {
    await sql`select pg_advisory_unlock(hashtext(${name}))`
  }
}

/** Creates a database as the migrations of these modules make it. `sql` is a superuser's. */
export const cloneMigrated = async (
  sql: postgres.Sql,
  server: string,
  name: string,
  modules: readonly string[],
): Promise<void> => {
  const source = await template(sql, server, modules)
  await sql`create database ${sql(name)} template ${sql(source)}`
  // Rights on a database are not copied with it.
  await sql`update pg_database set datacl = (select datacl from pg_database where datname = ${source}) where datname = ${name}`
}
