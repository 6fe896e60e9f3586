import type { BaseLogger } from 'pino'
import type { Agent } from 'undici'
import { watchSrv } from './dns-srv.ts'
import { createProber } from './prober.ts'
import { parseUpstream } from './upstream-url.ts'

export { parseUpstream } from './upstream-url.ts'

/** Maximum age and idle time of a connection to a service, ms. */
const CONNECTION_MS = 4_000

/**
 * Connections to services, for undici's Agent. They end well before a stopping service stops serving (SHUTDOWN_DELAY_MS, 8000 in
 * the chart), so that the service closes none on which a request is just being written. Behind one address for many processes (a
 * Kubernetes Service), a new process gets only new connections. The client side closes them, between two requests: with
 * `maxRequestsPerClient`, the service would respond with `Connection: close`, like a stopping one.
 */
export const serviceConnections = {
  keepAliveTimeout: CONNECTION_MS,
  keepAliveMaxTimeout: CONNECTION_MS,
  clientTtl: CONNECTION_MS,
}

export interface Upstream {
  readonly name: string
  /**
   * The origin for the next request, e.g. 'http://10.0.0.3:5001', or undefined if no target is known. Round robin over the
   * targets that are not marked down. If all are, over those whose last probe was only late: a busy machine, unlike a stopped
   * one, still responds. If there are none, over all. A single target is always used.
   */
  pick(): string | undefined
  targets(): readonly { origin: string; healthy: boolean }[]
  /** A connection to this origin failed: do not use it until a probe sees it ready again. */
  reportFailure(origin: string): void
  /** Reads a response's head: a stopping service says so with `Connection: close`, before its probe fails. */
  reportAnswer(origin: string, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void
  /** Resolves when the first resolution succeeded or failed; never rejects. */
  ready(): Promise<void>
  close(): Promise<void>
}

interface UpstreamOptions {
  name: string
  url: string
  /** Milliseconds. Default 500. */
  probeEveryMs?: number
  /** How the connections of the probes are opened. */
  connect?: Agent.Options['connect']
  log: Pick<BaseLogger, 'info' | 'warn'>
}

interface Weighted {
  origin: string
  priority: number
  weight: number
}

interface Target extends Weighted {
  healthy: boolean
  /** Down only because a probe timed out. */
  late: boolean
  probing: boolean
  failures: number
}

/** One of several targets of the same priority: by weight (RFC 2782), round robin if the weights are equal. */
const choose = <T extends Weighted>(list: readonly T[], turn: number): T | undefined => {
  const zero = list.filter(({ weight }) => weight === 0)
  const total = list.reduce((sum, { weight }) => sum + weight, 0)
  if (list.every(({ weight }) => weight === list[0]?.weight)) return list[turn % list.length]
  // Weight 0 has a very small chance: RFC 2782 draws from 0 to the total, both included, and 0 selects it.
  if (zero.length > 0 && Math.random() * (total + 1) < 1) return zero[turn % zero.length]
  let left = Math.random() * total
  const weighted = list.filter(({ weight }) => weight > 0)
  for (const target of weighted) {
    left -= target.weight
    if (left < 0) return target
  }
  return weighted.at(-1)
}

/** Creates the upstream of one service; starts to resolve and to probe at once. Throws an Error of one line on a bad URL. */
export const createUpstream = (options: UpstreamOptions): Upstream => {
  const { name, url, probeEveryMs = 500, log } = options
  const source = parseUpstream(url)
  const prober = createProber(options.connect)
  let closed = false
  let list: Target[] = []
  let timer: NodeJS.Timeout | undefined
  let turn = 0

  const mark = (target: Target, healthy: boolean, why: string) => {
    if (target.healthy === healthy) return
    target.healthy = healthy
    log[healthy ? 'info' : 'warn'](
      { upstream: name, origin: target.origin },
      `upstream target is ${healthy ? 'up' : 'down'}: ${why}`,
    )
  }

  const probe = async (target: Target) => {
    if (target.probing) return
    target.probing = true
    const { failures } = target
    const { ready, late, why } = await prober.probe(target.origin)
    target.probing = false
    if (closed || list.length < 2 || !list.includes(target)) return
    // A failure reported meanwhile is newer than this probe.
    if (ready && target.failures !== failures) return
    // A timeout after a refusal is no better than the refusal.
    target.late = late && (target.healthy || target.late)
    mark(target, ready, why)
  }

  const probeAll = () => {
    for (const target of list) void probe(target)
  }

  const setTargets = (next: Weighted[]) => {
    const known = new Map(list.map((target) => [target.origin, target]))
    const unique = new Map(next.map((target) => [target.origin, target]))
    const appeared = [...unique.keys()].some((origin) => !known.has(origin))
    list = [...unique.values()].map((target) =>
      Object.assign(known.get(target.origin) ?? { healthy: true, late: false, probing: false, failures: 0 }, target),
    )
    if (appeared || known.size !== list.length)
      log.info({ upstream: name, origins: [...unique.keys()] }, 'upstream targets changed')
    if (list.length > 1) {
      timer ??= setInterval(probeAll, probeEveryMs).unref()
      if (appeared) probeAll()
      return
    }
    clearInterval(timer)
    timer = undefined
    // Nothing probes a single target, so nothing would ever mark it up again.
    for (const target of list) target.healthy = true
  }

  const watch =
    source.kind === 'static'
      ? undefined
      : watchSrv(
          { name: source.name, server: source.server, addresses: source.scheme === 'http' },
          {
            targets: (found) =>
              setTargets(
                found
                  .map(({ host, port, ...rest }) => ({ origin: new URL(`${source.scheme}://${host}:${port}`).origin, ...rest }))
                  // Servers shuffle their responses; a stable order keeps the round robin even.
                  .sort((a, b) => (a.origin < b.origin ? -1 : 1)),
              ),
            failure: (error, retryMs) =>
              log.warn({ upstream: name, retryMs, err: error }, `could not resolve ${source.name}: ${error.message}`),
          },
        )
  if (source.kind === 'static') setTargets(source.origins.map((origin) => ({ origin, priority: 0, weight: 0 })))

  const leaveOut = (origin: string, why: string) => {
    const target = list.find((candidate) => candidate.origin === origin)
    if (!target || list.length < 2) return
    target.failures += 1
    target.late = false
    mark(target, false, why)
  }

  return {
    name,
    pick: () => {
      const healthy = list.filter((target) => target.healthy)
      const up = healthy.length > 0 ? healthy : list.filter(({ late }) => late)
      const priority = Math.min(...up.map((target) => target.priority))
      turn = (turn + 1) % Number.MAX_SAFE_INTEGER
      if (up.length === 0) return list[turn % list.length]?.origin
      return choose(
        up.filter((target) => target.priority === priority),
        turn,
      )?.origin
    },
    targets: () => list.map(({ origin, healthy }) => ({ origin, healthy })),
    reportFailure: (origin) => leaveOut(origin, 'a connection failed'),
    reportAnswer: (origin, status, { connection }) => {
      // After a refusal it may be about the request alone, such as one whose body was not read.
      if (connection === 'close' && status < 400) leaveOut(origin, 'it closes its connections')
    },
    ready: async () => watch?.first,
    close: async () => {
      clearInterval(timer)
      timer = undefined
      closed = true
      watch?.close()
      await prober.close()
    },
  }
}
