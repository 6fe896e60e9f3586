import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Checkpoint, openCheckpoint } from '../modules/audit/sealing/checkpoint.ts'
import { databaseTrail } from '../modules/audit/verification/database.ts'
import { createTrailRepository } from '../modules/audit/verification/repository.ts'
import { snapshotTrail } from '../modules/audit/verification/snapshot.ts'
import { TamperError, type Trail, type Verdict, verifyTrail } from '../modules/audit/verification/verify.ts'
import { accountHash } from '../platform/audit/pseudonyms.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { createDatabase } from '../platform/db/database.ts'
import { publicFile } from '../platform/keys/key-files.ts'
import { createKeyStore, type KeyStore } from '../platform/keys/key-store.ts'
import { KeysError } from '../platform/keys/keys-error.ts'

const usage = `usage: node dist/audit.js verify (--database URL | --snapshot FILE) --checkpoint FILE|FOLDER --keys DIR|public.json
       node dist/audit.js account ADDRESS --keys DIR

verify recomputes the audit trail from its rows and compares it with a checkpoint from outside the database.

  --database URL       PostgreSQL with the trail (postgres://...); a login that may read it is enough
  --snapshot FILE      a file from GET /api/v1/audit/snapshot, in place of a database
  --checkpoint PATH    a trusted checkpoint, or the anchor's folder, whose newest one is used; with a snapshot, the
                       newest one that the snapshot reaches
  --keys PATH          the folder of the public keys, or its public.json

account prints the keyed hash of an e-mail address, which is the resource of failed sign-ins on the trail. Search for it with
\`GET /api/v1/audit?resource_type=account&resource_id=HASH\`. It needs the folder with the key ring.

Exit status: 0 the trail is intact, 1 it was changed (the first bad entry is named), 64 wrong usage,
66 a file cannot be read, 69 the database does not respond.`

/** Exit status: the trail does not verify. */
const tampered = exitStatus.failed

/** An outside cause: one line and its exit status. */
class Stop extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Reading a long trail takes long; no page of it does. */
const statementTimeoutMs = 600_000

const options = {
  database: { type: 'string' },
  snapshot: { type: 'string' },
  checkpoint: { type: 'string' },
  keys: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

const readArguments = (args: readonly string[]) => {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const { database, snapshot, checkpoint, keys, help } = values
    if (help) return undefined
    const [command, address, ...rest] = positionals
    if (command === 'account' && address !== undefined && rest.length === 0 && keys !== undefined)
      return { account: address, keys } as Account
    if (command !== 'verify' || address !== undefined) throw new Error('the commands are verify, and account with one address')
    if ((database === undefined) === (snapshot === undefined)) throw new Error('give either --database or --snapshot')
    if (checkpoint === undefined || keys === undefined) throw new Error('--checkpoint and --keys are required')
    return { database, snapshot, checkpoint, keys }
  } catch (error) {
    throw new Stop(exitStatus.usage, `${(error as Error).message}\n\n${usage}`)
  }
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path)).isDirectory()

const openKeys = async (path: string): Promise<KeyStore> => {
  if (await isFolder(path)) return createKeyStore({ folder: path, strict: false })
  if (basename(path) !== publicFile) throw new Stop(exitStatus.usage, `--keys names a folder or its ${publicFile}`)
  return createKeyStore({ folder: dirname(path), strict: false })
}

/** The newest checkpoint of a folder, by its name, of those up to `largest`. */
const newestIn = async (folder: string, largest: number): Promise<string> => {
  const names = (await readdir(folder)).filter((name) => /^\d{16}\.txt$/.test(name) && Number.parseInt(name, 10) <= largest)
  const newest = names.sort().at(-1)
  if (!newest) throw new Stop(exitStatus.noInput, `${folder} holds no checkpoint that would fit`)
  return join(folder, newest)
}

const readTrusted = async (path: string, keys: KeyStore, largest: number): Promise<Checkpoint> => {
  const file = (await isFolder(path)) ? await newestIn(path, largest) : path
  const trusted = openCheckpoint(keys, await readFile(file, 'utf8'))
  if (!trusted) throw new TamperError(`${file} is not a checkpoint signed by this log`)
  return trusted
}

const report = ({ size, checkpoints, partitions }: Verdict, trusted: Checkpoint): string =>
  [
    `fine: ${size} entries, ${checkpoints} checkpoints, and the trusted one of size ${trusted.size}`,
    ...partitions.map(({ partition, rows, waiting }) => `  ${partition}: ${rows} entries, ${waiting} of them not sealed yet`),
  ].join('\n')

type Given = NonNullable<ReturnType<typeof readArguments>>
interface Account {
  readonly account: string
  readonly keys: string
}

const verify = async (given: Exclude<Given, Account>): Promise<string> => {
  const keys = await openKeys(given.keys)
  const check = async (trail: Trail, largest: number) => {
    const trusted = await readTrusted(given.checkpoint, keys, largest)
    return report(await verifyTrail({ trail, trusted, keys }), trusted)
  }
  if (given.snapshot !== undefined) {
    const trail = await snapshotTrail(given.snapshot)
    return check(trail, trail.size)
  }
  const db = createDatabase({
    url: given.database as string,
    max: 2,
    statementTimeoutMs,
    applicationName: 'orderhub-audit-verify',
    readsOnly: true,
  })
  try {
    return await check(await databaseTrail(createTrailRepository(db)), Number.MAX_SAFE_INTEGER)
  } finally {
    await db.close()
  }
}

const answerOf = async (given: Given): Promise<string> =>
  'account' in given ? accountHash(await openKeys(given.keys), given.account) : verify(given)

/** @returns the exit status */
export const main = async (args: readonly string[]): Promise<number> => {
  try {
    const given = readArguments(args)
    console.log(given === undefined ? usage : await answerOf(given))
    return exitStatus.ok
  } catch (error) {
    const { message, code } = error as { message: string; code?: string }
    console.error(error instanceof TamperError ? `bad: ${message}` : message)
    if (error instanceof Stop) return error.status
    if (error instanceof TamperError) return tampered
    if (error instanceof KeysError) return exitStatus.noInput
    return code?.startsWith('E') ? exitStatus.noInput : exitStatus.unavailable
  }
}
