import { type Config, ConfigError } from '../config.ts'
import type { ModuleDefinition } from '../platform/module.ts'
import type { ModuleName } from '../registry.ts'
import { calledByEveryProcess, edges, forwarded, loadModule } from './module-graph.ts'

/** The modules of this process, callees before callers. */
export type Definitions = Map<ModuleName, ModuleDefinition>

const dependenciesOf = (name: ModuleName, optional: boolean): ModuleName[] =>
  edges.filter((edge) => edge.from === name && edge.optional === optional).map(({ to }) => to)

/** Loads the selected modules, callees before callers. @throws ConfigError on a cycle */
export const loadInOrder = async (selected: readonly ModuleName[]): Promise<Definitions> => {
  const loaded = new Map(await Promise.all(selected.map(async (name) => [name, await loadModule(name)] as const)))
  const ordered: Definitions = new Map()
  const visit = (name: ModuleName, path: readonly ModuleName[]): void => {
    if (path.includes(name)) throw new ConfigError([`modules depend on each other in a cycle: ${[...path, name].join(' -> ')}`])
    const definition = loaded.get(name)
    if (!definition || ordered.has(name)) return
    for (const dependency of dependenciesOf(name, false)) visit(dependency, [...path, name])
    ordered.set(name, definition)
  }
  for (const name of selected) visit(name, [])
  return ordered
}

/** What this process calls over HTTP: the modules that its own depend on, and for the gateway all that have public routes. */
export const remoteNames = (definitions: Definitions): Map<ModuleName, string> => {
  const reasons = new Map<ModuleName, string>()
  for (const name of definitions.keys()) {
    const needed = name === 'gateway' ? forwarded : dependenciesOf(name, false)
    for (const other of needed) if (!definitions.has(other)) reasons.set(other, reasons.get(other) ?? name)
  }
  return reasons
}

/** Optional dependencies of this process that are not in it and have an address. */
const optionalNames = (definitions: Definitions, config: Config): ModuleName[] =>
  [...definitions.keys()]
    .flatMap((name) => dependenciesOf(name, true))
    .filter((name) => !definitions.has(name) && config.serviceUrlOf(name) !== undefined)

/**
 * Every module elsewhere that this process calls. In addition, each process that has their addresses checks sessions at the user
 * module and records denials at the audit module.
 */
export const calledNames = (definitions: Definitions, config: Config): ModuleName[] => {
  const forAll = [...calledByEveryProcess.keys()].filter((name) => !definitions.has(name) && config.serviceUrlOf(name))
  return [...new Set([...remoteNames(definitions).keys(), ...forAll, ...optionalNames(definitions, config)])]
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
