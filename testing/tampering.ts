import { generateKeyPairSync, sign } from 'node:crypto'
import type postgres from 'postgres'
import { signCheckpoint } from '../src/modules/audit/sealing/checkpoint.ts'
import { createTree, leafHash, type TreeNode } from '../src/modules/audit/sealing/tree.ts'
import { type EntryRow, leafBytes, type StoredEntry, storedEntry } from '../src/modules/audit/stored-entry.ts'
import { signedBytes } from '../src/platform/audit/entry.ts'
import type { createRandom } from './random.ts'

type Random = ReturnType<typeof createRandom>
export interface Attack {
  readonly tx: postgres.TransactionSql<{ int8: number }>
  readonly random: Random
  /** Number of sealed entries; their indexes start at 0. */
  readonly size: number
}

/** Another value of each column of an entry. */
export const edits: Readonly<Record<string, string>> = {
  event_id: 'gen_random_uuid()',
  timestamp: `'1999-01-01T00:00:00.000Z'`,
  trace_id: `trace_id || '0'`,
  span_id: `reverse(span_id) || '1'`,
  actor_type: `actor_type || 'x'`,
  actor_id: `coalesce(actor_id || '1', 'null')`,
  resource_type: `'product'`,
  resource_id: `resource_id || '0'`,
  resource_version: `coalesce(resource_version + 1, 0)`,
  action: `'order.cancelled'`,
  decision: `case decision when 'approved' then 'denied' else 'approved' end`,
  policy_version: `''`,
  compliance_tags: `compliance_tags || '["more"]'`,
  details: `jsonb_set(details, '{price}', '0.125'::jsonb || '[]')`,
  service: `case service when 'order' then 'user' else 'order' end`,
  key_id: 'gen_random_uuid()::text',
  signature: `translate(signature, 'ABCabc', 'BCAbca') || '='`,
  recorded_at: `recorded_at + interval '1 millisecond'`,
  id: 'id + 1000000',
}

const column = (name: string) => (name === 'timestamp' ? '"timestamp"' : name)

const anIndex = ({ random, size }: Attack) => random.below(size)

const edit = ({ tx }: Attack, name: string, index: number) =>
  tx.unsafe(
    `update audits.entries set ${column(name)} = ${edits[name]} where id = (select entry_id from audits.seals where leaf_index = ${index})`,
  )

const restoreTable = (tx: Attack['tx'], table: string, size: number) =>
  tx.unsafe(
    {
      entries: `delete from audits.entries where id in (select entry_id from audits.seals where leaf_index >= ${size})`,
      seals: `delete from audits.seals where leaf_index >= ${size}`,
      nodes: `delete from audits.nodes where ((node_index + 1) << level::int) > ${size}`,
      checkpoints: `delete from audits.checkpoints where size > ${size}`,
    }[table] as string,
  )

const cut = async ({ tx }: Attack, size: number) => {
  for (const table of ['entries', 'seals', 'nodes', 'checkpoints']) await restoreTable(tx, table, size)
}

/** Every entry in the order of its index, in the form that the service reads. */
const readAll = async (tx: Attack['tx']): Promise<StoredEntry[]> => {
  const rows = await tx<EntryRow[]>`
    select e.*, e.id::int as id, e.resource_version::int as resource_version,
           to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as recorded_at
      from audits.seals s join audits.entries e on e.id = s.entry_id order by s.leaf_index`
  return rows.map(storedEntry)
}

/** Rebuilds seals and nodes over these entries, as an attacker can who knows the code but not the checkpoint key. */
const rebuild = async (tx: Attack['tx'], entries: readonly StoredEntry[]) => {
  const tree = createTree()
  const nodes: TreeNode[] = []
  const roots = new Map<number, Buffer>()
  const seals = entries.map((entry, leaf_index) => {
    const hash = leafHash(leafBytes(entry))
    nodes.push(...tree.append(hash))
    roots.set(tree.size(), tree.root())
    return { leaf_index, entry_id: entry.id, leaf_hash: hash.toString('base64') }
  })
  await tx`delete from audits.seals`
  await tx`delete from audits.nodes`
  await tx`insert into audits.seals select * from jsonb_to_recordset(${tx.json(seals as never)}) as s(leaf_index bigint, entry_id bigint, leaf_hash text)`
  const rows = nodes.map(({ level, index, hash }) => ({ level, node_index: index, hash: hash.toString('base64') }))
  await tx`insert into audits.nodes select * from jsonb_to_recordset(${tx.json(rows as never)}) as n(level bigint, node_index bigint, hash text)`
  return roots
}

const foreign = generateKeyPairSync('ed25519').privateKey

/** Checkpoints over the new roots, signed with the attacker's key. */
const resign = async (tx: Attack['tx'], roots: ReadonlyMap<number, Buffer>) => {
  const stored = await tx`select size::int from audits.checkpoints`
  for (const { size } of stored) {
    const root = roots.get(size)
    if (!root) await tx`delete from audits.checkpoints where size = ${size}`
    else {
      const note = signCheckpoint({ signer: () => ({ kid: 'mine', key: foreign }) }, { size, root })
      await tx`update audits.checkpoints set note = ${note} where size = ${size}`
    }
  }
  const size = Math.max(...roots.keys())
  const note = signCheckpoint({ signer: () => ({ kid: 'mine', key: foreign }) }, { size, root: roots.get(size) as Buffer })
  await tx`insert into audits.checkpoints (size, note) values (${size}, ${note}) on conflict do nothing`
}

/** Rebuilds the whole tree over other entries; half of the time with checkpoints signed with the attacker's key. */
const rewrite = async (attack: Attack, entries: readonly StoredEntry[]) => {
  const roots = await rebuild(attack.tx, entries)
  if (attack.random.below(2) === 0) await resign(attack.tx, roots)
}

const copyOf = (attack: Attack, index: number, changes: string) =>
  attack.tx.unsafe(`
    insert into audits.entries overriding system value
    select (jsonb_populate_record(e, ${changes})).* from audits.entries e
     where id = (select entry_id from audits.seals where leaf_index = ${index})`)

const otherThan = (attack: Attack, index: number) => (index + 1 + attack.random.below(attack.size - 1)) % attack.size

const columns = Object.keys(edits)

/** What a superuser can do to sealed rows: each attack changes the trail. */
export const attacks: Readonly<Record<string, (attack: Attack) => Promise<unknown>>> = {
  ...Object.fromEntries(columns.map((name) => [`edit ${name}`, (attack: Attack) => edit(attack, name, anIndex(attack))])),
  ...Object.fromEntries(
    columns.map((name) => [
      `edit ${name} and rebuild the tree over it`,
      async (attack: Attack) => {
        const index = anIndex(attack)
        const entries = await readAll(attack.tx)
        const { id } = entries[index] as StoredEntry
        await edit(attack, name, index)
        if (name === 'id') await attack.tx`update audits.seals set entry_id = ${id + 1_000_000} where entry_id = ${id}`
        await rewrite(attack, await readAll(attack.tx))
      },
    ]),
  ),
  'edit and sign with another key': async (attack) => {
    const entries = await readAll(attack.tx)
    const { id, recorded_at: _, ...entry } = entries[anIndex(attack)] as StoredEntry
    const { signature: _old, ...forged } = { ...entry, action: 'order.cancelled' }
    const signature = sign(null, signedBytes(forged), foreign).toString('base64')
    await attack.tx`update audits.entries set action = ${forged.action}, signature = ${signature} where id = ${id}`
    await rewrite(attack, await readAll(attack.tx))
  },
  'delete an entry': (attack) =>
    attack.tx`delete from audits.entries where id = (select entry_id from audits.seals where leaf_index = ${anIndex(attack)})`,
  'delete an entry and its seal': async (attack) => {
    const index = anIndex(attack)
    await attack.tx`delete from audits.entries where id = (select entry_id from audits.seals where leaf_index = ${index})`
    await attack.tx`delete from audits.seals where leaf_index = ${index}`
  },
  'delete an entry and shift the others': async (attack) => {
    const entries = await readAll(attack.tx)
    const [gone] = entries.splice(anIndex(attack), 1)
    await attack.tx`delete from audits.entries where id = ${gone?.id as number}`
    await rewrite(attack, entries)
  },
  'delete many entries': ({ tx, random, size }) =>
    tx`delete from audits.entries where id in (select entry_id from audits.seals where leaf_index % ${2 + random.below(20)}::int = ${random.below(2)}::int and leaf_index < ${size})`,
  'swap the content of two entries': async (attack) => {
    const index = anIndex(attack)
    const pair = [index, otherThan(attack, index)]
    await attack.tx.unsafe(`
      with two as (select entry_id as id, first_value(entry_id) over w + last_value(entry_id) over w - entry_id as other
                     from audits.seals where leaf_index in (${pair}) window w as (order by leaf_index rows between unbounded preceding and unbounded following))
      update audits.entries e set event_id = o.event_id, "timestamp" = o."timestamp", trace_id = o.trace_id, span_id = o.span_id,
             actor_type = o.actor_type, actor_id = o.actor_id, resource_type = o.resource_type, resource_id = o.resource_id,
             resource_version = o.resource_version, action = o.action, decision = o.decision, policy_version = o.policy_version,
             compliance_tags = o.compliance_tags, details = o.details, service = o.service, key_id = o.key_id, signature = o.signature
        from two join audits.entries o on o.id = two.other where e.id = two.id`)
  },
  'swap two leaves': async (attack) => {
    const index = anIndex(attack)
    const other = otherThan(attack, index)
    await attack.tx`update audits.seals set leaf_index = -leaf_index - 1 where leaf_index in (${index}, ${other})`
    await attack.tx`update audits.seals set leaf_index = ${index + other} + leaf_index + 1 where leaf_index < 0`
  },
  'swap two leaves and rebuild the tree': async (attack) => {
    const entries = await readAll(attack.tx)
    const index = anIndex(attack)
    const other = otherThan(attack, index)
    const [a, b] = [entries[index] as StoredEntry, entries[other] as StoredEntry]
    entries[index] = b
    entries[other] = a
    await rewrite(attack, entries)
  },
  'shift every index': (attack) => attack.tx`update audits.seals set leaf_index = leaf_index + 100000`,
  'truncate all tables': (attack) => cut(attack, anIndex(attack)),
  'truncate all tables to a checkpoint': (attack) => cut(attack, attack.size - 20 * (1 + attack.random.below(5))),
  'restore an old table': (attack) =>
    restoreTable(
      attack.tx,
      attack.random.pick(['entries', 'seals', 'nodes', 'checkpoints']),
      attack.size - 20 * (1 + attack.random.below(5)),
    ),
  'restore all tables except the entries': async ({ tx, random, size }) => {
    const old = size - 20 * (1 + random.below(5))
    for (const table of ['seals', 'nodes', 'checkpoints']) await restoreTable(tx, table, old)
  },
  'delete everything': (attack) => cut(attack, 0),
  'add a copy under another id': (attack) => copyOf(attack, anIndex(attack), `'{"id": 5000000}'`),
  'add a copy in another month': (attack) => copyOf(attack, anIndex(attack), `'{"recorded_at": "2019-01-01T00:00:00Z"}'`),
  'repeat an entry inside the tree': async (attack) => {
    const entries = await readAll(attack.tx)
    await copyOf(attack, anIndex(attack), `'{"id": 5000000}'`)
    const [row] = await attack.tx<EntryRow[]>`
      select e.*, e.id::int as id, e.resource_version::int as resource_version,
             to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as recorded_at from audits.entries e where id = 5000000`
    entries.splice(anIndex(attack), 0, storedEntry(row as EntryRow))
    await rewrite(attack, entries)
  },
  'change a leaf’s hash': (attack) =>
    attack.tx`update audits.seals set leaf_hash = (select leaf_hash from audits.seals where leaf_index = ${otherThan(attack, 7)}) where leaf_index = 7`,
  'point a leaf at another entry': (attack) =>
    attack.tx`update audits.seals set entry_id = entry_id + 7000000 where leaf_index = ${anIndex(attack)}`,
  'change an inner node': ({ tx, random }) => tx`
    update audits.nodes set hash = reverse(hash) where (level, node_index) = (select level, node_index from audits.nodes order by level, node_index offset ${random.below(100)} limit 1)`,
  'remove an inner node': ({ tx, random }) => tx`
    delete from audits.nodes where (level, node_index) = (select level, node_index from audits.nodes order by level, node_index offset ${random.below(100)} limit 1)`,
  'change a stored checkpoint': ({ tx, random, size }) =>
    tx`update audits.checkpoints set note = replace(note, ${`\n${size}\n`}, ${`\n${size + 1}\n`}) || ${random.pick(['', 'x'])} where size = ${size}`,
  'change an old checkpoint’s signature': ({ tx, random, size }) =>
    tx`update audits.checkpoints set note = translate(note, 'ABCDEFGH', 'BCDEFGHA') where size = ${20 * (1 + random.below(size / 20))}`,
  'delete the newest checkpoint': ({ tx, size }) => tx`delete from audits.checkpoints where size = ${size}`,
  'drop an entry before it is sealed': ({ tx, random }) =>
    tx`delete from audits.pending where entry_id = (select entry_id from audits.pending order by 1 offset ${random.below(3)} limit 1)`,
}
