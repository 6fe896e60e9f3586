import { sql } from 'drizzle-orm'
import { arrayLiteral, type Database, violatedConstraint } from '../../../platform/db/database.ts'
import { entryFields } from '../repository.ts'
import { type EntryRow, type StoredEntry, storedEntry } from '../stored-entry.ts'
import { checkpoints, entries, nodes, pending, seals } from '../tables.ts'
import { type LeafPosition, lookUp, peaksOf, type TreeNode } from './tree.ts'

export interface Seal {
  readonly index: number
  readonly id: number
  readonly hash: Buffer
}

/** One step of the sealer: all or nothing. */
export interface Growth {
  readonly seals: readonly Seal[]
  readonly nodes: readonly TreeNode[]
  readonly checkpoint: { readonly size: number; readonly note: string }
}

export interface StoredCheckpoint {
  readonly size: number
  readonly note: string
}

export type SealRepository = ReturnType<typeof createSealRepository>

export const createSealRepository = (db: Database) => {
  const readNodes = async (positions: readonly LeafPosition[]): Promise<(position: LeafPosition) => Buffer> => {
    const rows = await db.run<{ level: number; index: number; hash: string }>(sql`
      with wanted as (select * from jsonb_to_recordset(${JSON.stringify(positions)}::jsonb) as w(level bigint, index bigint))
      select n.level, n.node_index as index, n.hash from wanted w join ${nodes} n on n.level = w.level and n.node_index = w.index
      union all
      select 0, s.leaf_index, s.leaf_hash from wanted w join ${seals} s on w.level = 0 and s.leaf_index = w.index`)
    return lookUp(rows.map(({ hash, ...position }) => ({ ...position, hash: Buffer.from(hash, 'base64') })))
  }

  return {
    readNodes,

    /** Entries that are not in the tree yet, oldest first. */
    waiting: async (limit: number): Promise<StoredEntry[]> => {
      const ids = await db.run<{ id: number }>(sql`select entry_id as id from ${pending} order by entry_id limit ${limit}`)
      const rows = await db.run<EntryRow>(sql`
        select ${entryFields} from ${entries} e where e.id = any (${arrayLiteral(ids.map(({ id }) => id))}::bigint[]) order by e.id`)
      return rows.map(storedEntry)
    },

    /** The tree's size and its peaks. */
    state: async (): Promise<{ size: number; peaks: TreeNode[] }> => {
      const [row] = await db.run<{ size: number }>(sql`select coalesce(max(leaf_index) + 1, 0)::bigint as size from ${seals}`)
      const size = row?.size ?? 0
      const hashOf = await readNodes(peaksOf(size))
      return { size, peaks: peaksOf(size).map((position) => ({ ...position, hash: hashOf(position) })) }
    },

    /** Adds leaves with their nodes and their checkpoint. `overtaken`: another process has sealed at these indexes. */
    grow: async ({ seals: leaves, nodes: completed, checkpoint }: Growth): Promise<{ outcome: 'grown' | 'overtaken' }> => {
      const input = {
        leaves: leaves.map(({ index, id, hash }) => ({ leaf_index: index, entry_id: id, leaf_hash: hash.toString('base64') })),
        nodes: completed.map(({ level, index, hash }) => ({ level, node_index: index, hash: hash.toString('base64') })),
      }
      const growing = db.run(sql`
        with leaf as materialized (
          select * from jsonb_to_recordset(${JSON.stringify(input.leaves)}::jsonb) as l(leaf_index bigint, entry_id bigint, leaf_hash text)
        ), sealed as (insert into ${seals} (leaf_index, entry_id, leaf_hash) select leaf_index, entry_id, leaf_hash from leaf order by 1),
        completed as (
          insert into ${nodes} (level, node_index, hash)
          select level, node_index, hash from jsonb_to_recordset(${JSON.stringify(input.nodes)}::jsonb) as n(level bigint, node_index bigint, hash text)
        ), done as (delete from ${pending} p using leaf where p.entry_id = leaf.entry_id)
        insert into ${checkpoints} (size, note) values (${checkpoint.size}, ${checkpoint.note})`)
      return growing.then(
        () => ({ outcome: 'grown' }),
        (error) => {
          if (violatedConstraint(error) === undefined) throw error
          return { outcome: 'overtaken' }
        },
      )
    },

    newest: async (): Promise<StoredCheckpoint | undefined> => {
      const [row] = await db.run<StoredCheckpoint>(sql`select size, note from ${checkpoints} order by size desc limit 1`)
      return row
    },

    sealOf: async (id: number): Promise<Seal | undefined> => {
      const [row] = await db.run<{ index: number; hash: string }>(
        sql`select leaf_index as index, leaf_hash as hash from ${seals} where entry_id = ${id}`,
      )
      return row && { index: row.index, id, hash: Buffer.from(row.hash, 'base64') }
    },

    /** Checkpoints above this size, smallest first, with their age in seconds. They are not verified: see `openCheckpoint`. */
    above: (size: number, limit: number): Promise<(StoredCheckpoint & { age: number })[]> =>
      db.run<StoredCheckpoint & { age: number }>(sql`
        select size, note, extract(epoch from now() - created_at)::float8 as age
          from ${checkpoints} where size > ${size} order by size limit ${limit}`),

    /** Checkpoints up to this size, largest first. */
    upTo: (size: number, limit: number): Promise<StoredCheckpoint[]> =>
      db.run<StoredCheckpoint>(
        sql`select size, note from ${checkpoints} where size <= ${size} order by size desc limit ${limit}`,
      ),

    /** How many entries are not sealed yet, and the age of the oldest in seconds. */
    unsealed: async (): Promise<{ count: number; age: number }> => {
      const [row] = await db.run<{ count: number; age: number }>(sql`
        select count(*)::int as count, coalesce(extract(epoch from now() - min(e.recorded_at)), 0)::float8 as age
          from ${pending} p join ${entries} e on e.id = p.entry_id`)
      return row ?? { count: 0, age: 0 }
    },
  }
}
