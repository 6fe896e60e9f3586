import { sql } from 'drizzle-orm'
import { arrayLiteral, type Database } from '../../../platform/db/database.ts'
import { entryFields } from '../repository.ts'
import type { StoredCheckpoint } from '../sealing/repository.ts'
import type { TreeNode } from '../sealing/tree.ts'
import { type EntryRow, type StoredEntry, storedEntry } from '../stored-entry.ts'
import { checkpoints, entries, nodes, pending, seals } from '../tables.ts'

/** A stored leaf, with every row that claims to be its entry: exactly one, unless somebody tampered. */
export interface StoredLeaf {
  readonly index: number
  readonly id: number
  readonly hash: string
  readonly entries: readonly StoredEntry[]
}

export interface PartitionCount {
  readonly partition: string
  readonly rows: number
  readonly sealed: number
  readonly waiting: number
  /** The first entry that is neither sealed nor waiting. */
  readonly stray: number | null
}

/** An event with two entries. */
export interface Doubled {
  readonly event_id: string
  readonly first: number
  readonly second: number
}

const pageSize = 1000

export type TrailRepository = ReturnType<typeof createTrailRepository>

/** Reads the whole trail in pages. */
export const createTrailRepository = (db: Database) => {
  const page = async (from: number, end: number): Promise<StoredLeaf[]> => {
    const leaves = await db.run<{ index: number; id: number; hash: string }>(sql`
      select leaf_index as index, entry_id as id, leaf_hash as hash from ${seals}
       where leaf_index >= ${from} and leaf_index < ${end} order by leaf_index limit ${pageSize}`)
    const rows = await db.run<EntryRow>(sql`
      select ${entryFields} from ${entries} e where e.id = any (${arrayLiteral(leaves.map(({ id }) => id))}::bigint[])`)
    const byId = Map.groupBy(rows.map(storedEntry), ({ id }) => id)
    return leaves.map((leaf) => ({ ...leaf, entries: byId.get(leaf.id) ?? [] }))
  }

  const pages = async function* <T>(read: (from: number) => Promise<readonly T[]>, next: (last: T) => number, first: number) {
    for (let from = first; ; ) {
      const rows = await read(from)
      yield* rows
      const last = rows.at(-1)
      if (last === undefined || rows.length < pageSize) return
      from = next(last)
    }
  }

  return {
    /** The number of leaves and the size of the newest checkpoint at one moment: equal, unless somebody tampered. */
    extent: async (): Promise<{ leaves: number; size: number }> => {
      const [row] = await db.run<{ leaves: number; size: number }>(sql`
        select (select coalesce(max(leaf_index) + 1, 0) from ${seals})::bigint as leaves,
               (select coalesce(max(size), 0) from ${checkpoints})::bigint as size`)
      return row ?? { leaves: 0, size: 0 }
    },

    /** Leaves with an index below `end`, in order. */
    leaves: (end: number): AsyncGenerator<StoredLeaf> =>
      pages(
        (from) => page(from, end),
        ({ index }) => index + 1,
        0,
      ),

    /** Every checkpoint up to this size, smallest first. */
    checkpoints: (end: number): AsyncGenerator<StoredCheckpoint> =>
      pages(
        (from) =>
          db.run<StoredCheckpoint>(sql`
            select size, note from ${checkpoints} where size > ${from} and size <= ${end} order by size limit ${pageSize}`),
        ({ size }) => size,
        -1,
      ),

    /** The nodes that the leaves from `from` to before `end` complete. */
    nodes: async (from: number, end: number): Promise<TreeNode[]> => {
      const rows = await db.run<{ level: number; index: number; hash: string }>(sql`
        select n.level, n.node_index as index, n.hash
          from generate_series(1, 52) l join ${nodes} n
            on n.level = l and n.node_index >= (${from}::bigint >> l) and n.node_index < (${end}::bigint >> l)`)
      return rows.map(({ hash, ...position }) => ({ ...position, hash: Buffer.from(hash, 'base64') }))
    },

    /** The first event with more than one entry. */
    doubled: async (): Promise<Doubled | undefined> => {
      const [row] = await db.run<Doubled>(sql`
        select event_id, min(id) as first, max(id) as second from ${entries} group by event_id having count(*) > 1 order by 2 limit 1`)
      return row
    },

    /** The entries of each month and their positions, at one moment. */
    counts: (): Promise<PartitionCount[]> =>
      db.run<PartitionCount>(sql`
        select e.tableoid::regclass::text as partition, count(*)::int as rows, count(s.entry_id)::int as sealed, count(p.entry_id)::int as waiting,
               min(e.id) filter (where s.entry_id is null and p.entry_id is null) as stray
          from ${entries} e left join ${seals} s on s.entry_id = e.id left join ${pending} p on p.entry_id = e.id
         group by e.tableoid order by 1`),
  }
}
