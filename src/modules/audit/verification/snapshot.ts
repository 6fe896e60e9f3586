import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import canonicalize from 'canonicalize'
import { origin } from '../sealing/checkpoint.ts'
import type { StoredCheckpoint } from '../sealing/repository.ts'
import { leafBytes, type StoredEntry } from '../stored-entry.ts'
import type { StoredLeaf } from './repository.ts'
import { TamperError, type Trail } from './verify.ts'

const format = 'orderhub-audit-snapshot/1'

/** The first line of a snapshot. The lines between are {index, entry}, the last one is {checkpoint}. */
interface Header {
  readonly format: typeof format
  readonly origin: string
  readonly size: number
}

const line = (value: object): string => `${JSON.stringify(value)}\n`

/** A snapshot as JSON Lines. Its last line signs all lines before it, because the root hash is over every entry. */
export const writeSnapshot = async function* (
  { size, note }: StoredCheckpoint,
  leaves: AsyncIterable<StoredLeaf>,
): AsyncGenerator<string> {
  yield line({ format, origin, size } satisfies Header)
  let chunk = ''
  for await (const { index, entries } of leaves) {
    for (const entry of entries) chunk += line({ index, entry })
    if (chunk.length < 65_536) continue
    yield chunk
    chunk = ''
  }
  yield `${chunk}${line({ checkpoint: note })}`
}

const tailBytes = 65_536

const lastLine = async (file: string): Promise<string> => {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const start = Math.max(0, size - tailBytes)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start)
    return buffer.subarray(0, bytesRead).toString('utf8').trimEnd().split('\n').at(-1) ?? ''
  } finally {
    await handle.close()
  }
}

const parseLine = (text: string, where: string): Record<string, unknown> => {
  try {
    const value = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {}
  throw new TamperError(`${where} is not a JSON object`)
}

const leafIn = (text: string, number: number): Omit<StoredLeaf, 'hash'> => {
  const { index, entry } = parseLine(text, `line ${number}`) as { index: number; entry: StoredEntry }
  try {
    // Nothing unsigned may be in the file.
    if (typeof index === 'number' && leafBytes(entry).equals(Buffer.from(canonicalize(entry) as string)))
      return { index, id: entry.id, entries: [entry] }
  } catch {}
  throw new TamperError(`line ${number} is not an entry of the trail`)
}

const checkHeader = (text: string, size: number): void => {
  const header = parseLine(text, 'line 1') as Partial<Header>
  if (header.format !== format) throw new TamperError(`line 1 is not the header of a snapshot: format ${format}`)
  if (header.origin !== origin || header.size !== size) throw new TamperError('the header and the checkpoint differ')
}

const leavesIn = async function* (file: string, size: number): AsyncGenerator<Omit<StoredLeaf, 'hash'>> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })
  let number = 0
  let held: string | undefined
  for await (const text of lines) {
    number++
    if (number === 2) checkHeader(held ?? '', size)
    if (number > 2 && held !== undefined) yield leafIn(held, number - 1)
    held = text
  }
}

/** The trail in a snapshot. @throws TamperError if the file is not a complete snapshot */
export const snapshotTrail = async (file: string): Promise<Trail> => {
  const { checkpoint } = parseLine(await lastLine(file), 'the last line')
  const size = typeof checkpoint === 'string' ? Number(checkpoint.split('\n')[1]) : Number.NaN
  if (!Number.isSafeInteger(size)) throw new TamperError('the last line is not a checkpoint: the end of the file is missing')
  const checkpoints = async function* () {
    yield { size, note: checkpoint as string }
  }
  return { size, leaves: leavesIn(file, size), checkpoints: checkpoints() }
}
