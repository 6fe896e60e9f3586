import { sql } from 'drizzle-orm'
import { arrayLiteral, type Database } from '../../../platform/db/database.ts'
import type { KeyOfUser, Personal, PersonalData, WrappedKey } from '../personal-data.ts'
import { users } from '../tables.ts'

interface PlainUser extends Personal {
  readonly id: number
  readonly version: number
}

/** Bytes within JSON. */
const hex = (bytes: Buffer): string => bytes.toString('hex')

/**
 * Encrypts users whose data is in plain text, and empties the plain columns, unless they were changed meanwhile. If two share an
 * address, which only an older version beside this one can cause, it no longer finds the second.
 */
export const sealRows =
  (db: Database, data: PersonalData) =>
  async (rows: readonly PlainUser[]): Promise<{ readonly sealed: number; readonly doubled: readonly number[] }> => {
    const sealed = rows.map(({ id, version, ...person }) => {
      const { personal, data_key, ring_key } = data.seal(id, person)
      return {
        id,
        version,
        personal: hex(personal),
        data_key: hex(data_key),
        ring_key,
        lookup: hex(data.lookup(person.email)),
      }
    })
    const changed = await db.run<{ id: number; doubled: boolean }>(sql`
      with input as materialized (
        select * from jsonb_to_recordset(${JSON.stringify(sealed)}::jsonb)
            as r(id int, version int, personal text, data_key text, ring_key text, lookup text)
      ), due as materialized ( -- in one order, so that two processes cannot wait for each other
        select r.* from ${users} u join input r using (id)
         where u.version = r.version and u.personal is null and u.email is not null order by u.id for update of u
      ), changed as (
        update ${users} as u
           set personal = decode(d.personal, 'hex'), data_key = decode(d.data_key, 'hex'), ring_key = d.ring_key,
               email_lookup = case when exists (select from ${users} o where o.email_lookup = decode(d.lookup, 'hex')) then null
                                   else decode(d.lookup, 'hex') end,
               name = null, email = null, phone = null
          from due d where u.id = d.id
        returning u.id, u.email_lookup is null as doubled
      )
      select id, doubled from changed order by id`)
    return { sealed: changed.length, doubled: changed.filter(({ doubled }) => doubled).map(({ id }) => id) }
  }

export type UpkeepRepository = ReturnType<typeof createEncryptionMaintenanceRepository>

export const createEncryptionMaintenanceRepository = (db: Database, data: PersonalData) => ({
  /** Up to `limit` users whose data is in plain text. */
  plain: (limit: number): Promise<PlainUser[]> =>
    db.run<PlainUser>(sql`
      select id, version, name, email, phone from ${users}
       where lower(email) is not null and personal is null order by lower(email) limit ${limit}`), // as the index has them

  seal: sealRows(db, data),

  /** The keys of the ring that wrap any data key: one index step for each. */
  ringKeysInUse: async (): Promise<string[]> => {
    const rows = await db.run<{ ring_key: string }>(sql`
      with recursive used as (
        select min(ring_key) as ring_key from ${users}
        union all
        select (select min(u.ring_key) from ${users} u where u.ring_key > used.ring_key) from used where used.ring_key is not null
      )
      select ring_key from used where ring_key is not null`)
    return rows.map(({ ring_key }) => ring_key)
  },

  /** Up to `limit` users after the id `after` whose data key is wrapped by one of these keys of the ring. */
  wrappedBy: (ringKeys: readonly string[], after: number, limit: number): Promise<KeyOfUser[]> =>
    db.run<KeyOfUser>(sql`
      select id, data_key, ring_key from ${users}
       where ring_key = any (array(select jsonb_array_elements_text(${JSON.stringify(ringKeys)}::jsonb))) and id > ${after}
       order by id limit ${limit}`),

  /** Replaces the wrapped keys that were read; erased users stay erased. Returns how many were replaced. */
  rewrap: async (rows: readonly { readonly from: KeyOfUser; readonly to: WrappedKey }[]): Promise<number> => {
    const input = rows.map(({ from, to }) => ({
      id: from.id,
      was: hex(from.data_key),
      data_key: hex(to.data_key),
      ring_key: to.ring_key,
    }))
    const [row] = await db.run<{ rewrapped: number }>(sql`
      with due as materialized (
        select u.id, r.data_key, r.ring_key
          from ${users} u
          join jsonb_to_recordset(${JSON.stringify(input)}::jsonb) as r(id int, was text, data_key text, ring_key text) using (id)
         where u.data_key = decode(r.was, 'hex') and u.id = any (${arrayLiteral(input.map(({ id }) => id))}::int[])
         order by u.id for update of u
      ), changed as (
        update ${users} as u set data_key = decode(d.data_key, 'hex'), ring_key = d.ring_key
          from due d where u.id = d.id
        returning 1
      )
      select count(*)::int as rewrapped from changed`)
    return row?.rewrapped ?? 0
  },
})
