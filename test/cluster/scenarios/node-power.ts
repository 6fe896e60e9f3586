import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { serviceNames } from '../../../src/environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { shell } from '../commands.ts'
import { isReady, kubectl, type Namespace, type Resource, readyPods } from '../kubernetes.ts'
import { assertNothingFailed, assertNothingLost, startLoad, summary } from '../load.ts'
import { componentSelector, install, replicas, serving, uninstall } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { hooks } from '../settings.ts'
import { storesNode, workers } from '../stores.ts'

const longestOutageMs = 30_000

/** The node with most of our pods, except that of the stores. */
const victimOf = async (namespace: Namespace): Promise<{ node: string; components: string[] }> => {
  const spared = await storesNode()
  const pods = await namespace.list('pods', serving)
  const componentsOn = (node: string) => {
    const there = pods.filter(({ spec, metadata }) => spec.nodeName === node && metadata.deletionTimestamp === undefined)
    return there.map(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] ?? '').sort()
  }
  const candidates = (await workers()).filter((node) => node !== spared).map((node) => ({ node, components: componentsOn(node) }))
  const [victim] = candidates.sort((a, b) => b.components.length - a.components.length)
  assert(victim && victim.components.length > 0, 'only the node of the stores has our pods')
  return victim
}

const nodeReady = (node: string, timeoutMs: number) =>
  eventually(async () => isReady(JSON.parse(await kubectl(['get', 'node', node, '--output', 'json'])) as Resource), {
    timeoutMs,
    everyMs: 1000,
  })

export const nodePower: Scenario = {
  name: 'node-power',
  title: 'a node loses power: clients that retry wait at most 30 s, and no order and no mail is lost',
  run: async (say) => {
    const { stopNode, startNode } = hooks
    assert(stopNode && startNode, 'E2E_NODE_STOP and E2E_NODE_START are not set')
    // Installs again, because an earlier power cut or taint may leave both pods of a component on one node.
    await uninstall('split')
    const namespace = await install('split')
    for (const component of serviceNames) await readyPods(namespace, componentSelector(component), replicas)
    const { node, components } = await victimOf(namespace)
    const load = await startLoad({ retries: true })
    await wait(20_000)
    say(`power off: ${node}, with ${components.join(', ')}`)
    try {
      await shell(stopNode, node)
      // Kubernetes moves the pods after half a minute or more; clients must not depend on that.
      await wait(60_000)
    } finally {
      await shell(startNode, node)
    }
    await nodeReady(node, 120_000)
    const report = await load.finish()
    say(`${summary(report)}; ${report.tries - report.sent} retries`)
    assertNothingFailed(report)
    assertNothingLost(report)
    say(`last mail ${report.deliveredAfterMs} ms after the last order; ${report.lost.secondMails} duplicates`)
    assert(report.longestMs <= longestOutageMs, `a client waited for ${report.longestMs} ms`)
  },
}
