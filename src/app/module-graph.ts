import type { Uses } from '../platform/contract.ts'
import type { ModuleDefinition } from '../platform/module.ts'
import { type Entry, type ModuleName, moduleNames, registry } from '../registry.ts'

/** Operations that one module calls of another one. */
export interface Edge {
  readonly from: ModuleName
  readonly to: ModuleName
  readonly ops: readonly string[]
  /** The caller can do without it if the other module is not reachable. */
  readonly optional: boolean
}

/** A module's contract and dependencies as data, without loading it. */
export const entryOf = (name: ModuleName): Entry => registry[name]

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.') + 1)

/** The module itself. Imported only here, so that modules that are not selected are never loaded. */
export const loadModule = async (name: ModuleName): Promise<ModuleDefinition> => {
  const { default: definition } = await import(`../modules/${name}/module.${extension}`)
  return definition
}

const edgesOf = (from: ModuleName, uses: Uses = {}, optional: boolean): Edge[] =>
  Object.values(uses).map(({ contract, ops }) => ({ from, to: contract.name as ModuleName, ops, optional }))

/** Every call between modules, from their dependencies. */
export const edges: readonly Edge[] = moduleNames.flatMap((name) => {
  const { dependencies, optionalDependencies } = entryOf(name)
  return [...edgesOf(name, dependencies, false), ...edgesOf(name, optionalDependencies, true)]
})

/** What every process calls: by module, its operations. */
export const calledByEveryProcess: ReadonlyMap<ModuleName, readonly string[]> = new Map(
  moduleNames
    .map((name) => {
      const { ops } = entryOf(name).contract
      return [name, Object.keys(ops).filter((op) => ops[op]?.forEveryProcess)] as const
    })
    .filter(([, ops]) => ops.length > 0),
)

/** The modules that may call an operation; undefined if every process may. */
export const callersOf = (module: ModuleName, op: string): readonly ModuleName[] | undefined =>
  calledByEveryProcess.get(module)?.includes(op)
    ? undefined
    : edges.filter(({ to, ops }) => to === module && ops.includes(op)).map(({ from }) => from)

/** Modules with public routes: the gateway forwards to them if they run elsewhere. */
export const forwarded: readonly ModuleName[] = moduleNames.filter((name) => entryOf(name).contract.paths.length > 0)

/**
 * The modules that a service calls if they run elsewhere, in the order of the registry; it does not start without the `required`
 * ones.
 */
export const callees = (from: ModuleName): { readonly required: readonly ModuleName[]; readonly all: readonly ModuleName[] } => {
  const own = edges.filter((edge) => edge.from === from)
  const required = from === 'gateway' ? forwarded : own.filter(({ optional }) => !optional).map(({ to }) => to)
  const called = new Set<ModuleName>([...required, ...own.map(({ to }) => to), ...calledByEveryProcess.keys()])
  const inOrder = (names: { has(name: ModuleName): boolean }) => moduleNames.filter((name) => name !== from && names.has(name))
  return { required: inOrder(new Set(required)), all: inOrder(called) }
}
