import { type Config, ConfigError, databaseProblems, inspectConfig, modulesWithoutDatabase } from '../config.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { checkTransport } from './event-bus.ts'
import { checkKeys } from './required-keys.ts'
import { checkReachable, type Definitions, loadInOrder, remoteNames } from './topology.ts'

/** What a check says is wrong, one line each. */
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
 * Reads the environment, and looks at all that can be known to be wrong before anything is opened or made: the configuration,
 * addresses of other modules, databases, the transport of events, and keys that somebody else has to make.
 * @throws ConfigError that lists every mistake
 */
export const checkStart = async (env: Readonly<Record<string, string | undefined>>): Promise<Config> => {
  const { config, problems } = inspectConfig(env)
  let definitions: Definitions = new Map()
  const circle = await problemsOf(async () => {
    definitions = await loadInOrder(config.selected)
  })
  const remotes = remoteNames(definitions)
  // Keys are needed for an address that is still missing, too: otherwise they would be missing at the next start.
  const complete = {
    ...config,
    serviceUrlOf: (name: string) => config.serviceUrlOf(name) ?? [...remotes.keys()].find((it) => it === name),
  }
  const all = [
    ...problems,
    ...circle,
    ...(await problemsOf(() => checkReachable(remotes, config))),
    // Elsewhere an embedded one starts.
    ...(config.production ? databaseProblems(config) : []),
    ...(modulesWithoutDatabase(config).length > 0 ? [] : await problemsOf(() => checkTransport(definitions, config))),
    ...(config.makeKeys ? [] : await problemsOf(() => checkKeys(complete))),
  ]
  if (all.length > 0) throw new ConfigError(all)
  return config
}
