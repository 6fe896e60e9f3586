import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import type { KeyStore } from '../../../platform/keys/key-store.ts'

/** The content of a checkpoint: the log's size and the root hash over its entries. */
export interface Checkpoint {
  readonly size: number
  readonly root: Buffer
}

/**
 * The log's name in its checkpoints, and the name of its signing key. The key's hash distinguishes the logs of different
 * companies.
 */
export const origin = 'orderhub/audit'
const purpose = 'audit-checkpoint'

const ed25519 = Buffer.from([1])

/** C2SP signed-note: the first four bytes of SHA-256 over name, newline, algorithm and key. */
const keyHash = (publicKey: KeyObject): Buffer => {
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url')
  return hash('sha256', Buffer.concat([Buffer.from(`${origin}\n`), ed25519, raw]), 'buffer').subarray(0, 4)
}

/** A checkpoint (C2SP tlog-checkpoint) as a note signed by this log's key (C2SP signed-note, Ed25519). */
export const signCheckpoint = (keys: Pick<KeyStore, 'signer'>, { size, root }: Checkpoint): string => {
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`
  const { key } = keys.signer(purpose)
  const signature = Buffer.concat([keyHash(createPublicKey(key)), sign(null, Buffer.from(text), key)])
  return `${text}\n— ${origin} ${signature.toString('base64')}\n`
}

const form =
  /^(?<text>(?<origin>[^\n]+)\n(?<size>0|[1-9]\d{0,15})\n(?<root>[A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*)\n(?<signatures>(?:— [^\n]+\n)+)$/

/** The content of a note if one of this log's keys signed it; undefined for any other text. */
export const openCheckpoint = (keys: Pick<KeyStore, 'published'>, note: string): Checkpoint | undefined => {
  const parts = form.exec(note)?.groups as Record<'text' | 'origin' | 'size' | 'root' | 'signatures', string> | undefined
  if (parts?.origin !== origin) return undefined
  const ours = keys.published(purpose).keys.map((jwk) => createPublicKey({ key: jwk as never, format: 'jwk' }))
  const signed = parts.signatures.split('\n').some((line) => {
    const [, name, encoded = ''] = line.split(' ')
    const bytes = Buffer.from(encoded, 'base64')
    return (
      name === origin &&
      ours.some(
        (key) => keyHash(key).equals(bytes.subarray(0, 4)) && verify(null, Buffer.from(parts.text), key, bytes.subarray(4)),
      )
    )
  })
  return signed ? { size: Number(parts.size), root: Buffer.from(parts.root, 'base64') } : undefined
}
