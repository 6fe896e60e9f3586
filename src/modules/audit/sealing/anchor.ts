import { hash } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { newUuid } from '../../../platform/ids.ts'
import { type Credentials, type WebIdentity, webIdentityCredentials } from './web-identity.ts'

/** A place outside the database that keeps every checkpoint and lets none be replaced. */
export interface Anchor {
  /** Adds a checkpoint; does nothing when it is there. @throws Error when another one of this size is there */
  put(size: number, note: string): Promise<void>
}

export interface AnchorOptions {
  /** A folder, or s3://bucket/prefix?endpoint=URL&region=NAME. */
  readonly address: string
  readonly credentials: Credentials | WebIdentity | undefined
}

const retentionYears = 5
const timeoutMs = 10_000

/** Sorts as the sizes do. */
export const anchorName = (size: number): string => `${String(size).padStart(16, '0')}.txt`

const mustBeSame = (there: string, note: string, where: string): void => {
  if (there !== note) throw new Error(`${where} holds another checkpoint than the database does`)
}

const folderAnchor = (folder: string): Anchor => ({
  put: async (size, note) => {
    await mkdir(folder, { recursive: true })
    const place = join(folder, anchorName(size))
    const unfinished = join(folder, `.${anchorName(size)}.${newUuid()}`)
    await writeFile(unfinished, note, { mode: 0o444 })
    try {
      // A link never replaces a file, where renaming would.
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
  return {
    put: async (size, note) => {
      const url = place(size)
      // Looked for first: a bucket with versions takes a second object of the same name as a new version.
      const there = await request(url)
      if (there.ok) return mustBeSame(await there.text(), note, url)
      await there.body?.cancel()
      if (there.status !== 404) throw new Error(`${url} cannot be read: the answer was ${there.status}`)
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
      if (!answer.ok) throw new Error(`${url} was not written: the answer was ${answer.status} ${reason.slice(0, 300)}`)
    },
  }
}

/** @throws Error when a bucket is named without credentials */
export const createAnchor = ({ address, credentials }: AnchorOptions): Anchor => {
  if (!address.startsWith('s3://')) return folderAnchor(address)
  if (!credentials) throw new Error('an s3:// anchor needs credentials')
  return bucketAnchor(new URL(address), credentials)
}
