import { type Config, ConfigError } from '../config.ts'
import type { ModuleDefinition } from '../platform/module.ts'
import { type ModuleName, moduleNames } from '../registry.ts'
import { callees, edges, loadModule } from './module-graph.ts'

/** The modules of this process, callees before callers. */
export type Definitions = Map<ModuleName, ModuleDefinition>

/** Loads the selected modules, callees before callers. @throws ConfigError on a cycle */
export const loadInOrder = async (selected: readonly ModuleName[]): Promise<Definitions> => {
  const loaded = new Map(await Promise.all(selected.map(async (name) => [name, await loadModule(name)] as const)))
  const ordered: Definitions = new Map()
  const visit = (name: ModuleName, path: readonly ModuleName[]): void => {
    if (path.includes(name)) throw new ConfigError([`modules depend on each other in a cycle: ${[...path, name].join(' -> ')}`])
    const definition = loaded.get(name)
    if (!definition || ordered.has(name)) return
    for (const { from, to, optional } of edges) if (from === name && !optional) visit(to, [...path, name])
    ordered.set(name, definition)
  }
  for (const name of selected) visit(name, [])
  return ordered
}

/** What this process calls over HTTP: the modules that its own depend on, and for the gateway all that have public routes. */
export const remoteNames = (definitions: Definitions): Map<ModuleName, string> => {
  const reasons = new Map<ModuleName, string>()
  for (const name of definitions.keys())
    for (const other of callees(name).required) if (!definitions.has(other)) reasons.set(other, reasons.get(other) ?? name)
  return reasons
}

/** Every module that this process calls, is not in it and has an address. */
export const calledNames = (definitions: Definitions, config: Config): ModuleName[] => {
  const called = new Set([...definitions.keys()].flatMap((name) => callees(name).all))
  return moduleNames.filter((name) => called.has(name) && !definitions.has(name) && config.serviceUrlOf(name) !== undefined)
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
