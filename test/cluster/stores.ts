import assert from 'node:assert/strict'
import { inNamespace, kubectl, manifest, type Resource } from './kubernetes.ts'
import { admin, storesNamespace } from './settings.ts'

/** Keeps other pods off the stores' node, because databases have their own machines. */
const storesTaint = 'orderhub-e2e/stores'
interface Taint {
  readonly key: string
  readonly effect: string
}
const taintsOf = ({ spec }: Resource): readonly Taint[] => spec.taints ?? []

/** Nodes that accept ordinary pods. */
const openNodes = async (): Promise<Resource[]> => {
  const { items } = JSON.parse(await kubectl(['get', 'nodes', '--output', 'json'])) as { items: Resource[] }
  return items.filter((node) => taintsOf(node).every(({ key, effect }) => effect !== 'NoSchedule' || key === storesTaint))
}

/** Names of these nodes; the first has the stores. */
export const workers = async (): Promise<readonly [string, ...string[]]> => {
  const [first, ...others] = (await openNodes()).map(({ metadata }) => metadata.name).sort()
  assert(first, 'the cluster has no node for ordinary pods')
  return [first, ...others]
}

/** The node of the databases and of the load; never powered off. */
export const storesNode = async (): Promise<string> => (await workers())[0]

export const makeNamespace = async (name: string) => {
  await kubectl(['apply', '--server-side', '--filename', '-'], { input: await manifest('namespace.yaml', { NAMESPACE: name }) })
  return inNamespace(name)
}

/** PostgreSQL, Redis and a mail catcher. */
export const startStores = async (): Promise<void> => {
  const node = await storesNode()
  const namespace = await makeNamespace(storesNamespace)
  await namespace.apply(await manifest('stores.yaml', { NODE: node }))
  for (const name of ['postgres', 'redis', 'mail']) {
    await namespace.run(['rollout', 'status', `deployment/${name}`, '--timeout=180s'])
  }
}

/** Taints the stores' node against other pods, if at least two other nodes remain. */
export const closeStoresNode = async (): Promise<void> => {
  const [node, ...others] = await workers()
  if (others.length > 1) await kubectl(['taint', 'node', node, `${storesTaint}=:NoSchedule`, '--overwrite'])
}

/** Removes the taint. */
export const openStoresNode = async (): Promise<void> => {
  for (const node of await openNodes()) {
    if (taintsOf(node).some(({ key }) => key === storesTaint))
      await kubectl(['taint', 'node', node.metadata.name, `${storesTaint}-`])
  }
}

/** Redis database numbers by PostgreSQL database. */
export const redisDatabases = { split: '0', monolith: '1', canary: '2' } as const

/** The Secret with a release's environment: its own databases in the shared stores. */
export const environmentSecret = (database: keyof typeof redisDatabases): Promise<string> =>
  manifest('environment.yaml', {
    STORES: storesNamespace,
    DATABASE: database,
    REDIS_DATABASE: redisDatabases[database],
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
  })
