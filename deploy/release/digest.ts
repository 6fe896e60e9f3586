import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const image = 'ghcr.io/orderhub/orderhub'
const form = /^sha256:[0-9a-f]{64}$/
const entry = new RegExp(`(\\bname: ${image}[\\s,]+digest: )(sha256:[0-9a-f]{64})\\b`, 'g')

/** The digest of OrderHub's image in the `images:` of a kustomization. */
export const digestOf = (text: string): string => {
  const found = [...text.matchAll(entry)].map(([, , digest]) => digest as string)
  if (found.length !== 1) throw new Error(`expected one digest of ${image}, found ${found.length}`)
  return found[0] as string
}

/** Returns the text with only the digest changed. */
export const withDigest = (kustomization: string, digest: string): string => {
  if (!form.test(digest)) throw new Error(`not a digest: ${digest}`)
  digestOf(kustomization)
  return kustomization.replace(entry, `$1${digest}`)
}

/** `digest.ts FILE` prints the digest; `digest.ts FILE DIGEST` changes it. */
const main = ([file, digest]: readonly string[]) => {
  if (!file) throw new Error('usage: digest.ts FILE [DIGEST]')
  const text = readFileSync(file, 'utf8')
  if (digest) writeFileSync(file, withDigest(text, digest))
  else console.log(digestOf(text))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
