import { type Config, ConfigError, databaseProblems, homelessModules, inspectConfig } from './config.ts'
import { checkTransport } from './event-flow.ts'
import { checkKeys } from './needed-keys.ts'
import { KeysError } from './platform/keys/keys-error.ts'
import { checkReachable, loadInOrder, remoteNames } from './topology.ts'

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
  const homeless = homelessModules(config).length > 0
  const topology = await problemsOf(async () => {
    const definitions = await loadInOrder(config.selected)
    const checks = [() => checkReachable(remoteNames(definitions), config)]
    if (!homeless) checks.push(() => checkTransport(definitions, config))
    const found = await Promise.all(checks.map(problemsOf))
    if (found.flat().length > 0) throw new ConfigError(found.flat())
  })
  const all = [
    ...problems,
    ...topology,
    // Elsewhere an embedded one starts.
    ...(config.production ? databaseProblems(config) : []),
    ...(config.makeKeys ? [] : await problemsOf(() => checkKeys(config))),
  ]
  if (all.length > 0) throw new ConfigError(all)
  return config
}
