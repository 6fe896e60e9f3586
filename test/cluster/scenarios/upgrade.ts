import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { serviceNames } from '../../../src/environment.ts'
import { assertNothingFailed, assertNothingLost, startLoad, summary } from '../load.ts'
import { install, type Mode, serving, upgrade as upgradeRelease } from '../release.ts'
import type { Scenario } from '../scenario.ts'

const upgraded = async (mode: Mode, say: (line: string) => void): Promise<void> => {
  const namespace = await install(mode)
  const names = async () => (await namespace.list('pods', serving)).map(({ metadata }) => metadata.name)
  const before = await names()
  const load = await startLoad({ mode })
  await wait(30_000)
  const begun = Date.now()
  // Split, one service after another: six starts at once leave two processors no room for the requests.
  const given: string[] = []
  for (const prefix of mode === 'split' ? serviceNames.map((name) => `services.${name}.`) : ['']) {
    given.push('--set-string', `${prefix}podAnnotations.e2e=at-${begun}`)
    given.push('--set-string', `${prefix}config.REQUEST_TIMEOUT_MS=9000`)
    await upgradeRelease(mode, ...given)
  }
  const seconds = Math.round((Date.now() - begun) / 1000)
  await wait(10_000)
  const report = await load.finish()
  say(`${mode}, every pod replaced within ${seconds} s: ${summary(report)}`)
  assertNothingFailed(report)
  assertNothingLost(report)
  say(`${mode}: the last mail came ${report.deliveredAfterMs} ms after the last order; ${report.lost.secondMails} came twice`)
  const after = await names()
  assert.deepEqual(
    after.filter((name) => before.includes(name)),
    [],
    'pods that were not replaced',
  )
}

export const upgrade: Scenario = {
  name: 'upgrade',
  title: 'an upgrade that replaces every pod, under load, fails no request and loses no order and no mail',
  run: async (say) => {
    await upgraded('monolith', say)
    await upgraded('split', say)
  },
}
