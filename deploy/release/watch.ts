import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'

/**
 * `watch.ts --namespace NAME --digest sha256:…` watches the rollout of a digest. Exit status 0: every pod of the namespace runs it and
 * was healthy for the hold time. 1: it must be rolled back. It uses the metrics of the pods with that digest, with any rollout
 * strategy. PROMETHEUS_URL and, if needed, PROMETHEUS_TOKEN: a Prometheus that scrapes the pods, kube-state-metrics and the Argo
 * Rollouts controller.
 */
const { values } = parseArgs({
  options: {
    namespace: { type: 'string' },
    digest: { type: 'string' },
    'success-rate': { type: 'string', default: '0.99' },
    'p99-seconds': { type: 'string', default: '0.5' },
    /** Requests per second; with fewer, latency is not significant. */
    'minimum-traffic': { type: 'string', default: '1' },
    /** Consecutive bad measurements that cause a rollback. */
    failures: { type: 'string', default: '2' },
    'interval-seconds': { type: 'string', default: '15' },
    'hold-seconds': { type: 'string', default: '120' },
    'deadline-seconds': { type: 'string', default: '2700' },
  },
})
const { PROMETHEUS_URL: prometheus, PROMETHEUS_TOKEN: token } = process.env
const { namespace = '', digest = '' } = values
if (!prometheus || !/^[a-z0-9-]+$/.test(namespace) || !/^sha256:[0-9a-f]{64}$/.test(digest)) {
  console.error('usage: PROMETHEUS_URL=… watch.ts --namespace NAME --digest sha256:…')
  process.exit(64)
}

const image = 'ghcr.io/orderhub/orderhub'
const containers = (id: string) =>
  `kube_pod_container_info{namespace="${namespace}",image_id=~".*${image}@${id}"} and on (namespace, pod, container) kube_pod_container_status_running == 1`
const ready = 'on (namespace, pod, container) kube_pod_container_status_ready == 1'
const pods = `max by (namespace, pod) (${containers(digest)})`
const ofNew = (metric: string, labels = '') =>
  `rate(${metric}{namespace="${namespace}",route!~"/health.*"${labels}}[2m]) * on (namespace, pod) group_left () ${pods}`

const queries = {
  /** Number of containers with the digest that are ready or not ready, and with any other digest. */
  ready: `count(${containers(digest)} and ${ready}) or vector(0)`,
  unready: `count((${containers(digest)}) unless ${ready}) or vector(0)`,
  others: `count((${containers('.*')}) unless on (namespace, pod) ${pods}) or vector(0)`,
  degraded: `count(rollout_info{namespace="${namespace}",phase="Degraded"} == 1) or vector(0)`,
  traffic: `sum(${ofNew('http_requests_total')}) or vector(0)`,
  errors: `sum(${ofNew('http_requests_total', ',status=~"5.."')}) or vector(0)`,
  p99: `histogram_quantile(0.99, sum by (le) (${ofNew('http_request_duration_seconds_bucket')})) >= 0 or vector(0)`,
}
type Measured = Record<keyof typeof queries, number>

const ask = async (query: string): Promise<number> => {
  const response = await fetch(new URL('api/v1/query', prometheus.endsWith('/') ? prometheus : `${prometheus}/`), {
    method: 'POST',
    headers: token ? { authorization: `Bearer ${token}` } : {},
    body: new URLSearchParams({ query }),
    signal: AbortSignal.timeout(10_000),
  })
  if (!response.ok) throw new Error(`Prometheus returned ${response.status}`)
  const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } }
  const [sample] = data.result
  if (!sample) throw new Error(`no result for ${query}`)
  return Number(sample.value[1])
}

const measure = async (): Promise<Measured> => {
  const entries = await Promise.all(Object.entries(queries).map(async ([name, query]) => [name, await ask(query)]))
  return Object.fromEntries(entries)
}

const fault = ({ degraded, traffic, errors, p99 }: Measured, seen: boolean): string | undefined => {
  // Before its first pod was seen, the state is that of an earlier release.
  if (seen && degraded > 0) return 'Argo Rollouts aborted it'
  // Below the minimum traffic, errors are divided by the minimum: a single one does not cause a rollback, many do.
  const rate = 1 - errors / Math.max(traffic, Number(values['minimum-traffic']))
  if (rate < Number(values['success-rate'])) return `success rate ${rate.toFixed(4)}`
  if (traffic >= Number(values['minimum-traffic']) && p99 > Number(values['p99-seconds'])) return `p99 ${p99.toFixed(3)} s`
  return undefined
}

const watch = async (): Promise<string | undefined> => {
  const deadline = Date.now() + Number(values['deadline-seconds']) * 1000
  let bad = 0
  let seen = false
  let completeSince: number | undefined
  for (;;) {
    const measured = await measure().catch((error: Error) => error)
    const now = Date.now()
    if (measured instanceof Error) {
      // Without data, the hold time starts again.
      console.log(measured.message)
      completeSince = undefined
    } else {
      console.log(
        Object.entries(measured)
          .map((pair) => pair.join(' '))
          .join(', '),
      )
      seen ||= measured.ready + measured.unready > 0
      const reason = fault(measured, seen)
      bad = reason ? bad + 1 : 0
      if (reason && bad >= Number(values.failures)) return reason
      const complete = !reason && measured.ready > 0 && measured.others === 0 && measured.unready === 0
      completeSince = complete ? (completeSince ?? now) : undefined
      if (completeSince !== undefined && now - completeSince >= Number(values['hold-seconds']) * 1000) return undefined
    }
    if (now > deadline) return 'not complete in time'
    await delay(Number(values['interval-seconds']) * 1000)
  }
}

const reason = await watch()
console.log(reason ? `roll back: ${reason}` : 'complete and healthy')
process.exit(reason ? 1 : 0)
