import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { serviceNames } from '../../../src/environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { assertNothingFailed, assertNothingLost, startLoad, summary } from '../load.ts'
import { install, type Mode, serving, uninstall, upgrade as upgradeRelease } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { closeStoresNode, openStoresNode } from '../stores.ts'

/** Each of `scopes` is the prefix of values that one `helm upgrade` changes; by default those of all services. */
const upgradeUnderLoad = async (mode: Mode, say: (line: string) => void, scopes: readonly string[] = ['']): Promise<void> => {
  const namespace = await install(mode)
  const names = async () => (await namespace.list('pods', serving)).map(({ metadata }) => metadata.name)
  const before = await names()
  const load = await startLoad({ mode })
  await wait(60_000)
  const begun = Date.now()
  const given: string[] = []
  for (const scope of scopes) {
    given.push('--set-string', `${scope}podAnnotations.e2e=at-${begun}`, '--set-string', `${scope}config.DATABASE_POOL=6`)
    await upgradeRelease(mode, ...given)
  }
  const replaced = async () => {
    const left = (await names()).filter((name) => before.includes(name))
    assert.deepEqual(left, [], 'pods that were not replaced')
    return true
  }
  // Helm waits only for the new pods.
  await eventually(replaced, { timeoutMs: 60_000, everyMs: 1000 })
  const seconds = Math.round((Date.now() - begun) / 1000)
  await wait(10_000)
  const report = await load.finish()
  say(`${mode}, every pod replaced within ${seconds} s: ${summary(report)}`)
  assertNothingFailed(report)
  assertNothingLost(report)
  say(`${mode}: last mail ${report.deliveredAfterMs} ms after the last order; ${report.lost.secondMails} duplicates`)
}

/** Keeps new pods off the stores' node, so that they do not take CPU time from the databases and the load. */
const upgraded: typeof upgradeUnderLoad = async (mode, ...more) => {
  await closeStoresNode()
  try {
    await uninstall(mode)
    await upgradeUnderLoad(mode, ...more)
  } finally {
    await openStoresNode()
  }
}

export const upgrade: Scenario = {
  name: 'upgrade',
  title: 'an upgrade of all services under load fails no request, and loses no order and no mail',
  run: async (say) => {
    await upgraded('monolith', say)
    await upgraded('split', say)
  },
}

export const upgradeByService: Scenario = {
  name: 'upgrade-by-service',
  title: 'an upgrade of one service after another under load fails no request, and loses no order and no mail',
  run: (say) =>
    upgraded(
      'split',
      say,
      serviceNames.map((name) => `services.${name}.`),
    ),
}
