import type { SQL } from 'drizzle-orm'
import type { Database } from './database.ts'

/** A module's view of its database: `write` calls `wake` after the commit of a statement that returns a row of a change. */
export const withRelay = (database: Database, wake: () => void): Database => ({
  ...database,
  write: async <T extends object>(statement: SQL, changed: (row: T) => boolean = () => true): Promise<T[]> => {
    // A single statement: it is committed when its rows are here.
    const rows = await database.run<T>(statement)
    if (rows.some(changed)) wake()
    return rows
  },
})
