import { hash } from 'node:crypto'
import { access, link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { newUuid } from '../../../platform/ids.ts'
import { type Credentials, type WebIdentity, webIdentityCredentials } from './web-identity.ts'

/** Storage outside the database that keeps every checkpoint and never replaces one. */
export interface Anchor {
  /** Adds a checkpoint; does nothing if it exists. @throws Error if there is a different one of this size */
  put(size: number, note: string): Promise<void>
  /** Whether a checkpoint of this size exists. */
  holds(size: number): Promise<boolean>
  /** The size of the newest checkpoint up to `upTo`; 0 if there is none. */
  newest(upTo: number): Promise<number>
}

export interface AnchorOptions {
  /** A folder, or s3://bucket/prefix?endpoint=URL&region=NAME. */
  readonly address: string
  readonly credentials: Credentials | WebIdentity | undefined
}

const retentionYears = 5
const timeoutMs = 10_000
/** Maximum keys in one response of a bucket. */
const pageSize = 1000

/** Sorts like the sizes. */
export const anchorName = (size: number): string => `${String(size).padStart(16, '0')}.txt`

/** 0 for a name of no checkpoint. */
const sizeOf = (name: string): number => (/^\d{16}\.txt$/.test(name) ? Number.parseInt(name, 10) : 0)

/** @throws the error, unless the file does not exist */
const isMissing = (error: NodeJS.ErrnoException): false => {
  if (error.code !== 'ENOENT') throw error
  return false
}

const mustBeSame = (there: string, note: string, where: string): void => {
  if (there !== note) throw new Error(`${where} holds a different checkpoint than the database`)
}

const folderAnchor = (folder: string): Anchor => ({
  holds: (size) => access(join(folder, anchorName(size))).then(() => true, isMissing),
  newest: async (upTo) => {
    const names = (await readdir(folder).catch(isMissing)) || []
    return names.map(sizeOf).reduce((newest, size) => (size <= upTo ? Math.max(newest, size) : newest), 0)
  },
  put: async (size, note) => {
    await mkdir(folder, { recursive: true })
    const place = join(folder, anchorName(size))
    const unfinished = join(folder, `.${anchorName(size)}.${newUuid()}`)
    await writeFile(unfinished, note, { mode: 0o444 })
    try {
      // A link never replaces a file; a rename would.
      await link(unfinished, place)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      mustBeSame(await readFile(place, 'utf8'), note, place)
    } finally {
      await rm(unfinished, { force: true })
    }
  },
})

const inYears = (years: number): string => {
  const date = new Date()
  date.setUTCFullYear(date.getUTCFullYear() + years)
  return date.toISOString()
}

const bucketAnchor = (address: URL, credentials: NonNullable<AnchorOptions['credentials']>): Anchor => {
  const region = address.searchParams.get('region') ?? 'us-east-1'
  const endpoint = address.searchParams.get('endpoint') ?? `https://s3.${region}.amazonaws.com`
  const prefix = address.pathname.replace(/^\/|\/$/g, '')
  const credentialsOfNow = 'tokenFile' in credentials ? webIdentityCredentials(credentials, region) : async () => credentials
  const request = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const client = new AwsClient({ ...(await credentialsOfNow()), service: 's3', region, retries: 0 })
    return client.fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) })
  }
  const place = (size: number) => {
    const path = [address.hostname, ...(prefix ? [prefix] : []), anchorName(size)].join('/')
    return `${endpoint.replace(/\/$/, '')}/${path}`
  }
  const bucket = `${endpoint.replace(/\/$/, '')}/${address.hostname}`
  const folder = prefix ? `${prefix}/` : ''
  /** Up to `limit` sizes above `above`, in order. */
  const list = async (above: number, limit: number): Promise<number[]> => {
    const query = new URLSearchParams({
      'list-type': '2',
      prefix: folder,
      'start-after': `${folder}${anchorName(above)}`,
      'max-keys': String(limit),
    })
    const answer = await request(`${bucket}?${query}`)
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${bucket} cannot be listed: status ${answer.status} ${text.slice(0, 300)}`)
    // Only keys with a checkpoint's name matter: these need no XML parser.
    const keys = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key.slice(folder.length))
    return keys.map(sizeOf).filter((size) => size > 0)
  }
  return {
    holds: async (size) => {
      const { status } = await request(place(size), { method: 'HEAD' })
      if (status !== 200 && status !== 404) throw new Error(`${place(size)} cannot be read: status ${status}`)
      return status === 200
    },
    newest: async (upTo) => {
      // A bucket lists in ascending order: each listing halves the range that may hold the newest.
      let [low, high] = [0, upTo]
      while (high - low > pageSize) {
        const middle = low + Math.floor((high - low) / 2)
        const [next = Number.POSITIVE_INFINITY] = await list(middle, 1)
        if (next <= high) low = next
        else high = middle
      }
      const sizes = await list(low, pageSize)
      return sizes.reduce((newest, size) => (size <= upTo ? Math.max(newest, size) : newest), low)
    },
    put: async (size, note) => {
      const url = place(size)
      // Checked first: a bucket with versioning would store a second object of the same name as a new version.
      const there = await request(url)
      if (there.ok) return mustBeSame(await there.text(), note, url)
      await there.body?.cancel()
      if (there.status !== 404) throw new Error(`${url} cannot be read: status ${there.status}`)
      const answer = await request(url, {
        method: 'PUT',
        body: note,
        headers: {
          'content-type': 'text/plain; charset=utf-8',
          'content-md5': hash('md5', note, 'base64'),
          'if-none-match': '*',
          'x-amz-object-lock-mode': 'COMPLIANCE',
          'x-amz-object-lock-retain-until-date': inYears(retentionYears),
        },
      })
      const reason = await answer.text()
      if (!answer.ok) throw new Error(`${url} was not written: status ${answer.status} ${reason.slice(0, 300)}`)
    },
  }
}

/** @throws Error if a bucket is named without credentials */
export const createAnchor = ({ address, credentials }: AnchorOptions): Anchor => {
  if (!address.startsWith('s3://')) return folderAnchor(address)
  if (!credentials) throw new Error('an s3:// anchor needs credentials')
  return bucketAnchor(new URL(address), credentials)
}
