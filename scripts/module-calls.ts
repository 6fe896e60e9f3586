import { askedByAll } from '../src/app/topology.ts'
import { loadModule, type ModuleName, registry } from '../src/registry.ts'

/** `from` is a module, or `process` for what every process asks. */
interface Calls {
  readonly from: string
  readonly to: string
  readonly ops: readonly string[]
}

/** Who calls what of whom: what modules need or ask for, as far as the contract lets them, and what every process asks. */
export const callsBetweenModules = async (): Promise<Calls[]> => {
  const calls: Calls[] = []
  for (const from of Object.keys(registry) as ModuleName[]) {
    const { needs, asks = {} } = await loadModule(from)
    for (const { name: to, ops } of [...Object.values(needs), ...Object.values(asks)]) {
      const allowed = Object.keys(ops).filter((op) => ops[op]?.callers?.includes(from))
      calls.push({ from, to, ops: allowed })
    }
  }
  return [...calls, ...Object.entries(askedByAll).map(([to, ops]) => ({ from: 'process', to, ops }))]
}
