import type { Database } from '../src/platform/db/database.ts'

/** The database, and how many statements `run` and `write` executed on it. */
export const countStatements = (database: Database): { readonly counted: Database; readonly statements: () => number } => {
  let statements = 0
  const counted: Database = {
    ...database,
    run: (statement) => {
      statements++
      return database.run(statement)
    },
    write: (statement, changed) => {
      statements++
      return database.write(statement, changed)
    },
  }
  return { counted, statements: () => statements }
}
