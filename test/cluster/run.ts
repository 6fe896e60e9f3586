import { parseArgs } from 'node:util'
import { build, loadImages } from './image.ts'
import { kubectl } from './kubernetes.ts'
import type { Scenario } from './scenario.ts'
import { canary } from './scenarios/canary.ts'
import { install } from './scenarios/install.ts'
import { keda } from './scenarios/keda.ts'
import { kyverno } from './scenarios/kyverno.ts'
import { networkPolicy } from './scenarios/network-policy.ts'
import { nodePower } from './scenarios/node-power.ts'
import { podSecurity } from './scenarios/pod-security.ts'
import { pods } from './scenarios/pods.ts'
import { upgrade, upgradeByService } from './scenarios/upgrade.ts'
import { appNamespace, monolithNamespace, storesNamespace } from './settings.ts'
import { startStores } from './stores.ts'

// npm run e2e:cluster -- [--keep] [--skip-build] [--skip-load] [SCENARIO...]
const all: readonly Scenario[] = [
  install,
  podSecurity,
  networkPolicy,
  upgrade,
  upgradeByService,
  pods,
  nodePower,
  canary,
  keda,
  kyverno,
]
const usage = `usage: npm run e2e:cluster -- [--keep] [--skip-build] [--skip-load] [SCENARIO...]

Tests OrderHub's chart on the cluster of KUBECONFIG. kubectl, helm and docker must be on PATH.

${all.map(({ name, title }) => `  ${name.padEnd(20)}${title}`).join('\n')}

E2E_LOAD_IMAGE  command that takes an image archive and loads it into every node: kind load image-archive
E2E_NODE_STOP   command that takes a node's name and cuts its power: docker kill
E2E_NODE_START  command that takes a node's name and boots it: docker start
E2E_RATE        requests per second (200); E2E_SPLIT_RATE for separate services (the same)
E2E_CONTROLLERS a folder with NAME.yaml and NAME.tar of the controllers that scenarios need
E2E_ROLLOUTS_PLUGIN  the program of Argo Rollouts' plugin for Gateway API
--keep          keeps everything in the cluster; --skip-build and --skip-load use existing images
`

const options = {
  keep: { type: 'boolean', default: false },
  'skip-build': { type: 'boolean', default: false },
  'skip-load': { type: 'boolean', default: false },
} as const
const parse = () => {
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const unknown = positionals.find((name) => !all.some((scenario) => scenario.name === name))
    if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}`)
    return { values, chosen: all.filter(({ name }) => positionals.length === 0 || positionals.includes(name)) }
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`)
    process.exit(64)
  }
}
const { values, chosen } = parse()

const say = (line: string) => console.log(`  ${new Date().toISOString().slice(11, 19)} ${line}`)
const reasons = (error: unknown): string =>
  error instanceof Error ? [error.message, ...(error.cause ? [reasons(error.cause)] : [])].join('\n') : String(error)

const removeAll = () =>
  kubectl(['delete', 'namespace', appNamespace, monolithNamespace, storesNamespace, '--ignore-not-found', '--wait=false'])

let failed = 0
try {
  if (!values['skip-build']) {
    say('docker build')
    await build()
  }
  if (!values['skip-load']) {
    say('images loaded')
    await loadImages(say)
  }
  say('starting PostgreSQL, Redis and the mail catcher')
  await startStores()
  for (const { name, title, run } of chosen) {
    console.log(`# ${name}: ${title}`)
    const begun = Date.now()
    const took = () => `${((Date.now() - begun) / 1000).toFixed(1)} s`
    try {
      await run(say)
      console.log(`ok ${name} (${took()})`)
    } catch (error) {
      failed += 1
      console.log(`not ok ${name} (${took()})\n${reasons(error).replaceAll(/^/gm, '    ')}`)
    }
  }
} finally {
  if (!values.keep) await removeAll()
}
console.log(`${chosen.length - failed} of ${chosen.length} scenarios passed`)
process.exitCode = failed === 0 ? 0 : 1
