import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { type ServiceName, serviceNames } from '../../../src/environment.ts'
import { type Namespace, readyPods } from '../kubernetes.ts'
import { componentSelector, helm, install, replicas, values } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { startScript } from '../script-pod.ts'
import { appNamespace, chart, monolithNamespace, storesNamespace } from '../settings.ts'
import { makeNamespace, storesNode } from '../stores.ts'

const places = {
  ...Object.fromEntries(serviceNames.map((name) => [name, `orderhub-${name}.${appNamespace}:8080`])),
  metrics: `orderhub-order.${appNamespace}:9464`,
  database: `postgres.${storesNamespace}:5432`,
  redis: `redis.${storesNamespace}:6379`,
  smtp: `mail.${storesNamespace}:1025`,
  web: `mail.${storesNamespace}:1080`,
  kubernetes: 'kubernetes.default:443',
}
type Place = ServiceName | 'metrics' | 'database' | 'redis' | 'smtp' | 'web' | 'kubernetes' | 'unlisted' | 'monolith'

/** What each pod may reach; every other connection must be blocked. */
const open: Readonly<Record<string, readonly Place[]>> = {
  // Redis holds the rate limit's counts.
  gateway: ['user', 'product', 'order', 'notification', 'audit', 'redis'],
  user: ['order', 'notification', 'audit', 'database', 'redis'],
  product: ['user', 'audit', 'database', 'redis'],
  order: ['user', 'product', 'audit', 'database', 'redis'],
  notification: ['user', 'audit', 'database', 'redis', 'smtp'],
  audit: ['user', 'database', 'redis'],
  migrate: ['database'],
  keys: ['kubernetes'],
  test: ['gateway'],
  // A pod of the release without its own policy: only the default applies.
  unlisted: [],
  monolith: ['database', 'redis', 'smtp'],
  // In a namespace that values.yaml allows, and in one that it does not.
  friend: ['gateway', 'metrics', 'database', 'redis', 'smtp', 'web', 'kubernetes', 'monolith'],
  stranger: ['database', 'redis', 'smtp', 'web', 'kubernetes'],
}

const probe = async (namespace: Namespace, component: string) => {
  const name = `probe-${component}`
  const labels = {
    'app.kubernetes.io/name': 'orderhub',
    'app.kubernetes.io/instance': 'orderhub',
    'app.kubernetes.io/component': component,
  }
  const ours = !['friend', 'stranger'].includes(component)
  const pod = await startScript({
    namespace,
    name,
    script: 'listen.ts',
    node: await storesNode(),
    cpu: '10m',
    labels: ours ? labels : { probe: component },
  })
  await pod.printed('listening')
  const { status } = await namespace.get('pod', name)
  return { name, namespace, address: `${status.podIP}:8080` }
}

const script = await readFile(new URL('../pods/connect.ts', import.meta.url), 'utf8')
const outcomes = async (namespace: Namespace, pod: string, targets: readonly string[]): Promise<Record<string, string>> =>
  JSON.parse(await namespace.exec(pod, 'node', '--input-type=module-typescript', '--no-warnings', '-e', script, ...targets))

/** Applies the policies of the other mode, without its pods. */
const monolithPolicies = async (): Promise<Namespace> => {
  const namespace = await makeNamespace(monolithNamespace)
  const policies = await helm([
    ...['template', 'orderhub', chart, '--namespace', namespace.name, '--values', values],
    ...['--set', 'mode=monolith', '--show-only', 'templates/networkpolicy.yaml'],
  ])
  await namespace.apply(policies)
  return namespace
}

export const networkPolicy: Scenario = {
  name: 'network-policy',
  title: 'each pod reaches only what it needs, in both modes',
  run: async (say) => {
    const split = await install('split')
    const monolith = await monolithPolicies()
    const stores = await makeNamespace(storesNamespace)
    const stranger = await makeNamespace(`${appNamespace}-stranger`)
    const where = { monolith, friend: stores, stranger } as Readonly<Record<string, Namespace>>
    const probes = new Map<string, Awaited<ReturnType<typeof probe>>>()
    const probed = ['migrate', 'keys', 'test', 'unlisted', 'monolith', 'friend', 'stranger']
    try {
      for (const name of probed) {
        probes.set(name, await probe(where[name] ?? split, name))
      }
      const targets: Record<string, string> = { ...places }
      for (const name of ['unlisted', 'monolith']) targets[name] = probes.get(name)?.address ?? ''

      const wrong: string[] = []
      const reached = new Set<string>()
      let flows = 0
      for (const [source, allowed] of Object.entries(open)) {
        const own = probes.get(source)
        const [pod] = own
          ? [own.name]
          : (await readyPods(split, componentSelector(source), replicas)).map(({ metadata }) => metadata.name)
        assert(pod)
        const tried = Object.entries(targets).filter(([name]) => name !== source)
        const found = await outcomes(
          own?.namespace ?? split,
          pod,
          tried.map(([, address]) => address),
        )
        for (const [name, address] of tried) {
          const outcome = found[address] ?? 'no result'
          const shouldBe = allowed.includes(name as Place) ? 'open' : 'shut'
          if (!outcome.startsWith(shouldBe)) wrong.push(`${source} -> ${name}: ${outcome}, expected ${shouldBe}`)
          if (outcome === 'open') reached.add(name)
          flows += 1
        }
      }
      assert.deepEqual(wrong, [], 'flows')
      // A target that no pod reaches may be down. Only the unlisted pod must not be reached.
      const unreached = Object.keys(targets).filter((name) => !reached.has(name) && name !== 'unlisted')
      assert.deepEqual(unreached, [], 'targets that no pod reached')
      const policies = [...(await split.list('networkpolicy')), ...(await monolith.list('networkpolicy'))]
      const names = new Set(policies.map(({ metadata }) => metadata.name.replace('orderhub-', '').replace('default', 'unlisted')))
      assert.deepEqual(
        [...names].filter((name) => !(name in open)),
        [],
        'policies without a flow',
      )
      say(`${names.size} policies, ${flows} flows tested, each as expected`)
    } finally {
      for (const name of probed) await (where[name] ?? split).remove('pod', `probe-${name}`)
      await monolith.run(['delete', 'networkpolicy', '--all'])
      await stranger.remove('namespace', stranger.name)
    }
  },
}
