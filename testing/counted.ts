import type { Database } from '../src/platform/db/database.ts'

/** The database, and how many statements were run on it by `run` and `write`. */
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
