import type { Config } from './config.ts'
import type { Purpose } from './platform/keys/key-files.ts'
import { createKeyStore } from './platform/keys/key-store.ts'
import { KeysError } from './platform/keys/keys-error.ts'

/** Private keys that this process signs with: its own services' alone, so that a pod need not hold those of others. */
const signingKeys = ({ selected, auth, serviceAccount }: Config): Purpose[] => [
  ...(auth && selected.includes('user') ? ['access-token' as const] : []),
  ...(selected.includes('audit') ? ['audit-checkpoint' as const] : []),
  ...(auth && !serviceAccount ? selected.map((name): Purpose => `service-${name}`) : []),
  ...selected.map((name): Purpose => `audit-entry-${name}`),
]

/** @throws KeysError with a line for each key that this process needs and cannot use */
export const checkKeys = (config: Config): void => {
  const store = createKeyStore({ folder: config.keysDir, strict: config.production })
  const looks = [
    () => store.published('access-token'),
    ...signingKeys(config).map((purpose) => () => store.signer(purpose)),
    ...(config.selected.includes('user') ? [() => store.data()] : []),
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
