import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import postgres from 'postgres'

/** A location and its content. */
export interface Remains {
  readonly where: string
  readonly what: string
}

/** Encodings of a text in storage: plain in any case, hexadecimal, and base64 at each of its three offsets. */
const formsOf = (marker: string): string[] => {
  const bytes = Buffer.from(marker)
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // Without the characters that depend on the bytes next to the marker.
    return text.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 8) / 6))
  })
  return [marker.toLowerCase(), bytes.toString('hex'), ...base64.map((text) => text.toLowerCase())]
}

/**
 * Searches for markers in any encoding, ignoring case even in base64: a false positive is better than a miss. A marker has at
 * least eight characters: random bytes in base64, such as signatures, contain any four by chance.
 */
export const finder = (markers: readonly string[]): ((where: string, text: string) => Remains[]) => {
  const forms = markers.flatMap(formsOf)
  return (where, text) => {
    const lower = text.toLowerCase()
    return forms.filter((form) => lower.includes(form)).map((what) => ({ where, what }))
  }
}

type Find = ReturnType<typeof finder>

/** Searches every row of every table of every schema; bytea is text in hexadecimal. */
export const inDatabase = async (url: string, find: Find): Promise<Remains[]> => {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'`
    const found: Remains[] = []
    for (const { name } of tables) {
      const rows = await sql.unsafe<{ row: string }[]>(`select t::text as row from ${name} t`)
      found.push(...rows.flatMap(({ row }) => find(name, row)))
    }
    return found
  } finally {
    await sql.end()
  }
}

/** The command that reads the whole value of a key of each type, and its arguments after the key. */
const readers: Readonly<Record<string, readonly [string, ...string[]]>> = {
  string: ['get'],
  hash: ['hgetall'],
  list: ['lrange', '0', '-1'],
  set: ['smembers'],
  zset: ['zrange', '0', '-1'],
  stream: ['xrange', '-', '+'],
}

const readKey = (redis: Redis, type: string, key: string): Promise<unknown> => {
  const reader = readers[type]
  if (!reader) throw new Error(`a key of type ${type}`)
  const [command, ...range] = reader
  return redis.call(command, key, ...range)
}

/** Searches every key of a Redis and its value, of any type. */
export const inRedis = async (url: string, find: Find): Promise<Remains[]> => {
  const redis = new Redis(url)
  try {
    const found: Remains[] = []
    for (const key of await redis.keys('*')) {
      const type = await redis.type(key)
      if (type !== 'none') found.push(...find(`redis ${key}`, `${key} ${JSON.stringify(await readKey(redis, type, key))}`))
    }
    return found
  } finally {
    redis.disconnect()
  }
}

/** Searches every file below a folder, including the file names. */
export const inFolder = async (folder: string, find: Find): Promise<Remains[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name)
      return find(path, entry.isFile() ? `${path} ${await readFile(path, 'latin1')}` : path)
    }),
  )
  return found.flat()
}
