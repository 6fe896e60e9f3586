import assert from 'node:assert/strict'
import { inNamespace, kubectl, manifest, type Resource } from './kubernetes.ts'
import { admin, storesNamespace } from './settings.ts'

/** Nodes that ordinary pods run on; the first is that of the stores. */
export const workers = async (): Promise<readonly [string, ...string[]]> => {
  const { items } = JSON.parse(await kubectl(['get', 'nodes', '--output', 'json'])) as { items: Resource[] }
  const open = items.filter(({ spec }) => !(spec.taints ?? []).some(({ effect }: { effect: string }) => effect === 'NoSchedule'))
  const [first, ...others] = open.map(({ metadata }) => metadata.name).sort()
  assert(first, 'the cluster has no node for ordinary pods')
  return [first, ...others]
}

/** The node of the databases and of the load: never cut off. */
export const storesNode = async (): Promise<string> => (await workers())[0]

export const makeNamespace = async (name: string) => {
  await kubectl(['apply', '--server-side', '--filename', '-'], { input: await manifest('namespace.yaml', { NAMESPACE: name }) })
  return inNamespace(name)
}

/** PostgreSQL, Redis and a mail catcher. */
export const startStores = async (): Promise<void> => {
  const namespace = await makeNamespace(storesNamespace)
  await namespace.apply(await manifest('stores.yaml', { NODE: await storesNode() }))
  for (const name of ['postgres', 'redis', 'mail']) {
    await namespace.run(['rollout', 'status', `deployment/${name}`, '--timeout=180s'])
  }
}

/** Redis' databases, by PostgreSQL's. */
export const redisDatabases = { split: '0', monolith: '1', canary: '2' } as const

/** The Secret with a release's environment: its own databases in the stores that all share. */
export const environmentSecret = (database: keyof typeof redisDatabases): Promise<string> =>
  manifest('environment.yaml', {
    STORES: storesNamespace,
    DATABASE: database,
    REDIS_DATABASE: redisDatabases[database],
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
  })
