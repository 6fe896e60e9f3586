import type { Config } from '../config.ts'
import { serviceNames } from '../environment.ts'
import type { Purpose } from '../platform/keys/key-files.ts'
import { createKeyStore } from '../platform/keys/key-store.ts'
import { KeysError } from '../platform/keys/keys-error.ts'

/** Private keys that a service signs with: only its own, so that a pod need not have those of others. */
export const signingKeysOf = (service: string): Purpose[] => [
  ...(service === 'user' ? ['access-token' as const] : []),
  ...(service === 'audit' ? ['audit-checkpoint' as const] : []),
  `service-${service}`,
  `audit-entry-${service}`,
]

/** Whether a service decrypts personal data. */
export const holdsDataKeys = (service: string): boolean => service === 'user'

/** Whether this process can call any service that runs elsewhere. */
const callsOthers = ({ selected, serviceUrlOf }: Config): boolean =>
  serviceNames.some((name) => !selected.includes(name) && serviceUrlOf(name) !== undefined)

/** A process that calls no other need not authenticate; without AUTH only the audit trail needs signatures. */
const signingKeys = (config: Config): Purpose[] => {
  const { selected, auth } = config
  const provesItself = callsOthers(config)
  return selected
    .flatMap(signingKeysOf)
    .filter((purpose) => purpose.startsWith('audit-') || (auth && (provesItself || !purpose.startsWith('service-'))))
}

/** @throws KeysError with a line for each missing or unusable key of this process */
export const checkKeys = (config: Config): void => {
  const store = createKeyStore({ folder: config.keysDir, strict: config.production })
  const looks = [
    () => store.published('access-token'),
    ...signingKeys(config).map((purpose) => () => store.signer(purpose)),
    ...(config.selected.some(holdsDataKeys) ? [() => store.data()] : []),
  ]
  const problems = looks.flatMap((look) => {
    try {
      look()
      return []
    } catch (error) {
      if (!(error instanceof KeysError)) throw error
      return [error.message]
    }
  })
  if (problems.length > 0) throw new KeysError(problems.join('\n'))
}
