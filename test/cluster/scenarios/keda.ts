import assert from 'node:assert/strict'
import { eventually } from '../../../testing/eventually.ts'
import { installControllers } from '../controllers.ts'
import { apiVersions, inNamespace, type Namespace } from '../kubernetes.ts'
import { assertNothingFailed, assertNothingLost, startLoad, summary } from '../load.ts'
import { install } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { startScript } from '../script-pod.ts'
import { rates, storesNamespace } from '../settings.ts'
import { storesNode } from '../stores.ts'

const deployment = 'orderhub-notification'
const pollingSeconds = 5
const ordersPerSecond = 5

const settings = (mailHost: string) => [
  ...['defaults.replicas=1', 'keda.enabled=true', `keda.redisAddress=redis.${storesNamespace}:6379`],
  ...['keda.minReplicas=1', 'keda.maxReplicas=4', 'keda.queueLength=20'],
  ...[`keda.pollingInterval=${pollingSeconds}`, 'keda.cooldownPeriod=15'],
  ...['services.notification.extraEnv[0].name=SMTP_URL', `services.notification.extraEnv[0].value=smtp://${mailHost}:1025`],
]

const condition = async (namespace: Namespace, type: string): Promise<string> => {
  const { status } = await namespace.get('scaledobject', deployment)
  const found = (status?.conditions ?? []).find((one: { type: string }) => one.type === type)
  return found ? `${found.status}: ${found.message}` : 'none'
}
const becomes = (namespace: Namespace, type: string, expected: string) =>
  eventually(
    async () => {
      const found = await condition(namespace, type)
      assert(found.startsWith(expected), `the ScaledObject's condition ${type} is ${found}`)
    },
    { timeoutMs: 90_000, everyMs: 1000 },
  )
const readyWorkers = async (namespace: Namespace): Promise<number> =>
  (await namespace.get('deployment', deployment)).status?.readyReplicas ?? 0
const waiting = async (): Promise<number> =>
  Number(await inNamespace(storesNamespace).exec('deployment/redis', 'redis-cli', '--raw', 'llen', 'bull:notification:wait'))

export const keda: Scenario = {
  name: 'keda',
  title: 'notification scales up while events wait, and down afterwards; no order and no mail is lost',
  run: async (say) => {
    await installControllers('keda')
    if (!(await apiVersions()).has('keda.sh/v1alpha1')) return say('skipped: the cluster has no keda.sh/v1alpha1')
    const stores = inNamespace(storesNamespace)
    const proxy = await startScript({
      namespace: stores,
      name: 'slow-mail',
      script: 'slow-proxy.ts',
      node: await storesNode(),
      env: { TARGET_HOST: `mail.${storesNamespace}`, PAUSE_MS: '1000' },
    })
    await proxy.printed('listening')
    const { status } = await stores.get('pod', 'slow-mail')
    try {
      const namespace = await install('split', ...settings(status.podIP).flatMap((one) => ['--set', one]))
      await becomes(namespace, 'Ready', 'True')
      await becomes(namespace, 'Active', 'False')
      await eventually(async () => (await readyWorkers(namespace)) === 1, { timeoutMs: 60_000, everyMs: 1000 })
      say('the ScaledObject is ready; no events wait, one pod')

      const load = await startLoad({ retries: true, orderShare: Math.min(100, Math.ceil((100 * ordersPerSecond) / rates.split)) })
      const begun = Date.now()
      await becomes(namespace, 'Active', 'True')
      say(`active after ${Math.round((Date.now() - begun) / 1000)} s: ${await waiting()} events wait`)
      const workers = await eventually(
        async () => {
          const ready = await readyWorkers(namespace)
          return ready > 1 && ready
        },
        { timeoutMs: 180_000, everyMs: 1000 },
      )
      say(`${workers} pods ready after ${Math.round((Date.now() - begun) / 1000)} s: ${await waiting()} events wait`)

      await proxy.signal('USR2')
      const report = await load.finish()
      say(summary(report))
      assertNothingFailed(report)
      assertNothingLost(report)
      const drained = Date.now()
      await eventually(async () => (await readyWorkers(namespace)) === 1, { timeoutMs: 240_000, everyMs: 1000 })
      await becomes(namespace, 'Active', 'False')
      say(`one pod again ${Math.round((Date.now() - drained) / 1000)} s after the last mail; no events wait`)
    } finally {
      await stores.run(['delete', 'pod', 'slow-mail', '--ignore-not-found', '--grace-period=1', '--wait=false'])
    }
  },
}
