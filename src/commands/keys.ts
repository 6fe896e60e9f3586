import { parseArgs } from 'node:util'
import { apiUrl, keepKeysInSecrets } from '../app/kubernetes-secrets.ts'
import { serviceNames } from '../environment.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { initKeys } from '../platform/keys/key-files.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { dataKeysName, rotateKeys } from '../platform/keys/rotate-keys.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Twice the time that a mounted Secret takes to reach every pod at worst, plus the clock difference. */
const defaultAfter = 600
/** The kubelet checks once a minute, and may cache the result for another one. */
const shortestAfter = 120
const longestAfter = 30 * 24 * 3600

const help = `usage: node dist/keys.js init DIR
       node dist/keys.js rotate DIR [--after SECONDS] [--force] [NAME...]
       node dist/keys.js secrets PREFIX
       node dist/keys.js --help

init    creates the missing keys in DIR: a pair that signs access tokens, two pairs for each service (calls to other services, audit
        entries), one for the audit trail's checkpoints, and the ring that wraps the keys of personal data. Existing keys
        stay. Each process needs public.json and the private files of its own services.
rotate  adds a new key for each NAME, or for everything. It is published at once and used after SECONDS (default ${defaultAfter}),
        so that every process can see it first. The minimum is ${shortestAfter}, because a mounted Secret may take that long to reach
        every verifier. --force allows less, for example if all read one folder. Running processes see the change by themselves.
        Only the newest key signs. Old keys of access tokens and of services are dropped when none of their signatures is still
        valid. Old public keys of the audit trail stay, because they verify old entries. Old ${dataKeysName} stay too, because
        they may still wrap data keys: without them, that data cannot be read.
        NAME is access-token, service-<service>, audit-entry-<service>, audit-checkpoint or ${dataKeysName};
        services are ${serviceNames.join(', ')}.
secrets in a Kubernetes pod: creates missing keys, as init does, in the Secret PREFIX (all files) and in PREFIX-<service> (the
        files of that service). Existing keys stay; changes in PREFIX are copied to the others.
`

const dnsName = /^[a-z0-9]([a-z0-9.-]{0,230}[a-z0-9])?$/

const secondsOf = (text: string): number | undefined =>
  /^\d{1,7}$/.test(text) && Number(text) <= longestAfter ? Number(text) : undefined

const parse = (args: readonly string[]) => {
  try {
    const options = { after: { type: 'string' }, force: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const [command, folder, ...names] = positionals
    return { command, folder, names, after: values.after, force: values.force ?? false, help: values.help ?? false }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

const init = async (folder: string): Promise<string> => {
  const made = await initKeys(folder, serviceNames)
  return made.length === 0 ? `${folder} has every key already` : `created in ${folder}: ${made.join(', ')}`
}

const rotate = async (folder: string, afterSeconds: number, names: readonly string[]): Promise<string> => {
  const rotated = await rotateKeys({ folder, afterSeconds, names })
  return rotated
    .map(({ name, activeAt, dropped }) => `${name}: a new key from ${activeAt.toISOString()} on, ${dropped} old dropped`)
    .join('\n')
}

const keepInSecrets = async (prefix: string, env: Env): Promise<string> => {
  const written = await keepKeysInSecrets(prefix, serviceNames, apiUrl(env))
  return written.length === 0 ? `Secret ${prefix} has every key already` : `written: ${written.join(', ')}`
}

/** @returns the exit status */
export const main = async (args: readonly string[], env: Env): Promise<number> => {
  const wrong = (problem: string): number => {
    console.error(`${problem}\n${help}`)
    return exitStatus.usage
  }
  const asked = parse(args)
  if (asked.problem !== undefined) return wrong(asked.problem)
  const { command, folder, names, after, force } = asked
  if (asked.help) {
    console.log(help)
    return exitStatus.ok
  }
  if (command !== 'init' && command !== 'rotate' && command !== 'secrets')
    return wrong(command ? `there is no command ${command}` : 'no command')
  const place = command === 'secrets' ? 'PREFIX' : 'DIR'
  if (!folder) return wrong(`${place} is missing`)
  if (command !== 'rotate' && (names.length > 0 || after !== undefined || force)) return wrong(`${command} takes ${place} alone`)
  if (command === 'secrets' && !dnsName.test(folder)) return wrong(`${folder} cannot be the name of a Secret`)
  const seconds = after === undefined ? defaultAfter : secondsOf(after)
  if (seconds === undefined) return wrong(`--after takes seconds, 0 to ${longestAfter}, not ${after}`)
  if (seconds < shortestAfter && !force)
    return wrong(
      `--after ${seconds} is less than the ${shortestAfter} s that every verifier may take to have the key; --force does it`,
    )
  try {
    if (command === 'init') console.log(await init(folder))
    else if (command === 'secrets') console.log(await keepInSecrets(folder, env))
    else console.log(await rotate(folder, seconds, names))
    return exitStatus.ok
  } catch (error) {
    if (!(error instanceof KeysError)) throw error
    console.error(error.message)
    return exitStatus.failed
  }
}
