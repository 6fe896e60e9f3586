import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../../testing/eventually.ts'
import { hasRolloutsPlugin, installControllers, installRolloutsPlugin } from '../controllers.ts'
import { apiVersions, inNamespace, manifest, type Namespace, readyPods } from '../kubernetes.ts'
import { componentSelector, helm, values } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { startScript } from '../script-pod.ts'
import { appNamespace, chart, storesNamespace } from '../settings.ts'
import { environmentSecret, makeNamespace, redisDatabases, workers } from '../stores.ts'

const canaryNamespace = `${appNamespace}-canary`
const needed = ['gateway.networking.k8s.io/v1', 'argoproj.io/v1alpha1', 'monitoring.coreos.com/v1']
const stores = inNamespace(storesNamespace)
const canaryValues = fileURLToPath(new URL('../canary-values.yaml', import.meta.url))

const missing = async (): Promise<string[]> => {
  const known = await apiVersions()
  const apis = needed.filter((api) => !known.has(api)).map((api) => `the cluster has no ${api}`)
  if (apis.length > 0) return apis
  return (await hasRolloutsPlugin()) ? [] : ['Argo Rollouts has no plugin for Gateway API']
}

/** The canary has its own database, because the other releases may be running. */
const emptyStores = async (): Promise<void> => {
  const sql = ['DROP DATABASE IF EXISTS canary WITH (FORCE)', 'CREATE DATABASE canary'].flatMap((text) => ['--command', text])
  await stores.exec('deployment/postgres', 'psql', '--quiet', '--username=postgres', ...sql)
  await stores.exec('deployment/redis', 'redis-cli', '-n', redisDatabases.canary, 'FLUSHDB')
}

const prepare = async (): Promise<Namespace> => {
  const namespace = await makeNamespace(canaryNamespace)
  await helm(['uninstall', 'orderhub', '--namespace', namespace.name, '--ignore-not-found', '--wait'])
  await emptyStores()
  await namespace.apply(await environmentSecret('canary'))
  await namespace.apply(await manifest('gateway.yaml', { STORES: storesNamespace }))
  await stores.apply(await manifest('prometheus.yaml', { NAMESPACE: namespace.name }))
  await stores.run(['wait', 'prometheus/e2e', '--for=condition=Available', '--timeout=180s'])
  return namespace
}

const release = (...more: string[]): Promise<string> =>
  helm([
    ...['upgrade', '--install', 'orderhub', chart, '--namespace', canaryNamespace, '--timeout', '5m'],
    ...['--values', values, '--values', canaryValues, ...more],
  ])

const rollout = async (namespace: Namespace) => (await namespace.get('rollout', 'orderhub-monolith')).status ?? {}

/** The new version if it is the stable one, otherwise false. */
const promoted = async (namespace: Namespace, before: string) => {
  const { phase, abort, message, currentPodHash, stableRS } = await rollout(namespace)
  return (
    !abort && phase === 'Healthy' && currentPodHash === stableRS && stableRS !== before && { hash: stableRS as string, message }
  )
}
const promotion = (namespace: Namespace, before: string) =>
  eventually(() => promoted(namespace, before), { timeoutMs: 300_000, everyMs: 1000 }).catch(async (cause: Error) => {
    const runs = await namespace.run(['get', 'analysisruns', '--output', 'json'])
    throw new Error(`the version was not promoted: ${JSON.stringify(await rollout(namespace))}\n${runs.slice(-4000)}`, { cause })
  })

interface Weight {
  readonly name: string
  readonly weight: number
}
const weights = async (namespace: Namespace): Promise<Record<string, number>> => {
  const { spec } = await namespace.get('httproute', 'orderhub')
  return Object.fromEntries(spec.rules[0].backendRefs.map(({ name, weight }: Weight) => [name, weight]))
}
const allToStable = { 'orderhub-gateway': 100, 'orderhub-gateway-canary': 0 }

/** Changes a tenth of the responses to 500; the version's metrics count them. */
const badTenth = `
import { ServerResponse } from 'node:http'
const { writeHead } = ServerResponse.prototype
ServerResponse.prototype.writeHead = function (status, ...more) {
  if (this.req.url.startsWith('/api/') && Math.random() < 0.1) this.statusCode = status = 500
  return writeHead.call(this, status, ...more)
}`
const badVersion = JSON.stringify({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(badTenth).replaceAll("'", '%27')}`,
})
const releaseBad = (...more: string[]) => release('--set-json', `monolith.config=${badVersion}`, ...more)

const seconds = (ms: number): number => Math.round(ms / 1000)
type Answers = readonly (readonly [second: number, counts: Readonly<Record<string, number>>])[]
const count = (answers: Answers, which: (status: string) => boolean): number =>
  answers.flatMap(([, counts]) => Object.entries(counts)).reduce((sum, [status, n]) => sum + (which(status) ? n : 0), 0)

const takenBack = async (namespace: Namespace, stable: string, say: (line: string) => void) => {
  const upgraded = Date.now()
  await releaseBad()
  const first = await eventually(async () => ((await weights(namespace))['orderhub-gateway-canary'] ?? 0) > 0 && Date.now(), {
    timeoutMs: 180_000,
    everyMs: 500,
  })
  const { abortedAt, message } = await eventually(
    async () => {
      const status = await rollout(namespace)
      return status.abort === true && status
    },
    { timeoutMs: 180_000, everyMs: 500 },
  )
  const aborted = Date.now()
  await eventually(async () => assert.deepEqual(await weights(namespace), allToStable), { timeoutMs: 30_000, everyMs: 500 })
  const restored = Date.now()
  assert.equal((await rollout(namespace)).stableRS, stable, 'the stable version')
  say(
    `a version with 500 for a tenth of its requests got traffic ${seconds(first - upgraded)} s after the upgrade began, and was rolled back ${seconds(aborted - first)} s later (${abortedAt}: ${message})`,
  )
  return { first, restored }
}

/** A new pod of the stable version must not get the configuration of the bad one. */
const stableStartsAgain = async (namespace: Namespace, stable: string) => {
  // The controller changes its Services until the bad pods are gone; an upgrade before that fails with a conflict.
  await readyPods(namespace, componentSelector('monolith'), 1)
  await releaseBad('--set', 'monolith.replicas=2')
  const selector = `${componentSelector('monolith')},rollouts-pod-template-hash=${stable}`
  const pods = await readyPods(namespace, selector, 2)
  for (const { metadata } of pods) {
    const options = await namespace.exec(metadata.name, 'printenv', 'NODE_OPTIONS')
    assert(!options.includes('--import'), `${metadata.name} has ${options}`)
  }
}

export const canary: Scenario = {
  name: 'canary',
  title: 'a canary that responds with 500 to a tenth of its requests is rolled back automatically, and a good one is promoted',
  run: async (say) => {
    await installControllers('traefik', 'argo-rollouts', 'prometheus-operator')
    await installRolloutsPlugin()
    const reasons = await missing()
    if (reasons.length > 0) return say(`skipped: ${reasons.join(', ')}`)

    const namespace = await prepare()
    await release()
    const { hash: stable } = await promotion(namespace, '')
    const traffic = await startScript({
      namespace,
      name: 'traffic',
      script: 'traffic.ts',
      // Not on the node of the stores, which is full.
      node: (await workers()).at(-1) as string,
      env: { BASE_URL: 'http://traefik.traefik', RATE: '40' },
    })
    await traffic.printed('traffic begins')
    await wait(10_000)
    const { first, restored } = await takenBack(namespace, stable, say)
    await wait(15_000)
    await stableStartsAgain(namespace, stable)
    say('a second pod of the stable version started, with its own configuration')

    const begun = Date.now()
    await release('--set-string', `podAnnotations.e2e=at-${begun}`)
    await promotion(namespace, stable)
    assert.deepEqual(await weights(namespace), allToStable)
    say(`a good version was fully promoted after ${seconds(Date.now() - begun)} s`)

    await wait(5000)
    await traffic.signal('USR2')
    const answers: Answers = JSON.parse(await traffic.result(60_000))
    const failed = (status: string) => status !== '200'
    const ofBad = answers.filter(([second]) => second >= first / 1000 - 3 && second <= restored / 1000 + 3)
    const others = answers.filter((one) => !ofBad.includes(one))
    say(
      `${count(answers, () => true)} requests: ${count(ofBad, failed)} of ${count(ofBad, () => true)} failed while the bad version had traffic, ${count(others, failed)} at any other time`,
    )
    assert(count(ofBad, (status) => status === '500') > 0, 'the bad version got no request')
    assert.equal(
      count(others, failed),
      0,
      `failed: ${JSON.stringify(others.filter(([, counts]) => Object.keys(counts).some(failed)))}`,
    )
  },
}
