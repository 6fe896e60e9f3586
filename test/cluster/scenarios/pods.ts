import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { serviceNames } from '../../../src/environment.ts'
import { type Namespace, readyPods } from '../kubernetes.ts'
import { assertNothingFailed, assertNothingLost, startLoad, summary } from '../load.ts'
import { componentSelector, install, replicas } from '../release.ts'
import type { Scenario } from '../scenario.ts'

const deletePod = async (namespace: Namespace, component: string, ...how: string[]): Promise<string> => {
  const [pod] = await readyPods(namespace, componentSelector(component), replicas)
  assert(pod)
  await namespace.run(['delete', 'pod', pod.metadata.name, '--wait=false', ...how])
  return pod.metadata.name
}

const deletedOnce = async (namespace: Namespace, say: (line: string) => void): Promise<void> => {
  const load = await startLoad()
  for (const component of serviceNames) {
    await deletePod(namespace, component)
    await wait(3000)
    await readyPods(namespace, componentSelector(component), replicas)
  }
  const report = await load.finish()
  say(`a pod of each component deleted: ${summary(report)}`)
  assertNothingFailed(report)
  assertNothingLost(report)
}

const killed = async (namespace: Namespace, say: (line: string) => void): Promise<void> => {
  const load = await startLoad({ retries: true, orderShare: 20 })
  for (const component of ['notification', 'order', 'notification', 'order']) {
    await deletePod(namespace, component, '--grace-period=0', '--force')
    await wait(3000)
    await readyPods(namespace, componentSelector(component), replicas)
  }
  const report = await load.finish()
  say(`two notification and two order pods killed: ${summary(report)}; ${report.tries - report.sent} retries`)
  assertNothingFailed(report)
  assertNothingLost(report)
  say(`last mail ${report.deliveredAfterMs} ms after the last order; ${report.lost.secondMails} duplicates`)
}

export const pods: Scenario = {
  name: 'pods',
  title: 'deleting any pod fails no request; killing pods loses no order and no event',
  run: async (say) => {
    const namespace = await install('split')
    await deletedOnce(namespace, say)
    await killed(namespace, say)
  },
}
