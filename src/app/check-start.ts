import { type Config, ConfigError, databaseProblems, inspectConfig, modulesWithoutDatabase } from '../config.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { checkTransport } from './event-bus.ts'
import { checkKeys } from './required-keys.ts'
import { checkReachable, type Definitions, loadInOrder, remoteNames } from './topology.ts'

/** The errors of a check, one line each. */
const problemsOf = async (check: () => unknown): Promise<readonly string[]> => {
  try {
    await check()
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    if (error instanceof KeysError) return error.message.split('\n')
    throw error
  }
}

/**
 * Reads the environment, and checks everything that can be checked before anything is opened or created: the configuration,
 * addresses of other modules, databases, the event queue, and keys that the operator must provide.
 * @throws ConfigError that lists every error
 */
export const checkStart = async (env: Readonly<Record<string, string | undefined>>): Promise<Config> => {
  const { config, problems } = inspectConfig(env)
  let definitions: Definitions = new Map()
  const circle = await problemsOf(async () => {
    definitions = await loadInOrder(config.selected)
  })
  const remotes = remoteNames(definitions)
  // Also for addresses that are still missing: otherwise the next start would report their keys.
  const complete = {
    ...config,
    serviceUrlOf: (name: string) => config.serviceUrlOf(name) ?? [...remotes.keys()].find((it) => it === name),
  }
  const all = [
    ...problems,
    ...circle,
    ...(await problemsOf(() => checkReachable(remotes, config))),
    // Otherwise an embedded one starts.
    ...(config.production ? databaseProblems(config) : []),
    ...(modulesWithoutDatabase(config).length > 0 ? [] : await problemsOf(() => checkTransport(definitions, config))),
    ...(config.makeKeys ? [] : await problemsOf(() => checkKeys(complete))),
  ]
  if (all.length > 0) throw new ConfigError(all)
  return config
}
