import { type Config, ConfigError } from '../config.ts'
import type { ModuleDefinition } from '../platform/module.ts'
import { loadModule, type ModuleName, registry } from '../registry.ts'

/** The modules of this process, callees before callers. */
export type Definitions = Map<ModuleName, ModuleDefinition>

const everyName = Object.keys(registry) as ModuleName[]
const neededBy = (definition: ModuleDefinition): ModuleName[] =>
  Object.values(definition.needs).map(({ name }) => name as ModuleName)

/** What every process asks of other modules beside what its own modules do: whether a token is still valid, and to record what it refuses. */
export const askedByAll = { user: ['getSessions'], audit: ['record'] } as const satisfies Partial<Record<ModuleName, string[]>>

/** Loads the selected modules, callees before callers. @throws ConfigError on a cycle */
export const loadInOrder = async (selected: readonly ModuleName[]): Promise<Definitions> => {
  const loaded = new Map(await Promise.all(selected.map(async (name) => [name, await loadModule(name)] as const)))
  const ordered: Definitions = new Map()
  const visit = (name: ModuleName, path: readonly ModuleName[]): void => {
    if (path.includes(name)) throw new ConfigError([`modules need each other in a circle: ${[...path, name].join(' -> ')}`])
    const definition = loaded.get(name)
    if (!definition || ordered.has(name)) return
    for (const needed of neededBy(definition)) visit(needed, [...path, name])
    ordered.set(name, definition)
  }
  for (const name of selected) visit(name, [])
  return ordered
}

/** What this process calls over HTTP: the modules that it needs, and for the gateway all that have public routes. */
export const remoteNames = (definitions: Definitions): Map<ModuleName, string> => {
  const reasons = new Map<ModuleName, string>()
  for (const [name, definition] of definitions) {
    const needed =
      name === 'gateway' ? everyName.filter((other) => registry[other].contract.paths.length > 0) : neededBy(definition)
    for (const other of needed) if (!definitions.has(other)) reasons.set(other, reasons.get(other) ?? name)
  }
  return reasons
}

/** Where the modules are that this process asks and does without: those not in it that have an address. */
export const askedNames = (definitions: Definitions, config: Config): ModuleName[] =>
  [...definitions.values()]
    .flatMap(({ asks = {} }) => Object.values(asks).map(({ name }) => name as ModuleName))
    .filter((name) => !definitions.has(name) && config.serviceUrlOf(name) !== undefined)

/**
 * Every module elsewhere that this process calls: besides those, each process that has their address asks the user module
 * what a person's token is worth, and tells the audit module of refusals.
 */
export const calledNames = (definitions: Definitions, config: Config): ModuleName[] => {
  const forAll = (Object.keys(askedByAll) as ModuleName[]).filter((name) => !definitions.has(name) && config.serviceUrlOf(name))
  return [...new Set([...remoteNames(definitions).keys(), ...forAll, ...askedNames(definitions, config)])]
}

export const checkReachable = (remotes: Map<ModuleName, string>, config: Config): void => {
  const problems = [...remotes]
    .filter(([name]) => !config.serviceUrlOf(name))
    .map(
      ([name, caller]) =>
        `${name.toUpperCase()}_SERVICE_URL is missing: ${caller} needs ${name}, which is not in this process (SERVICE)`,
    )
  if (problems.length > 0) throw new ConfigError(problems)
}
