import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { Agent, request } from 'undici'
import { serviceConnections } from '../../../../src/platform/upstream/upstream.ts'
import { eventually } from '../../../../testing/eventually.ts'
import {
  address,
  healthOf,
  origins,
  picks,
  type Service,
  srv,
  startDns,
  startService,
  startServices,
  upstreamOf,
} from '../../../../testing/upstream.ts'

t.jobs = 8

t.test('a single target is always picked and never probed', async (t) => {
  const [one, clock, other] = (await startServices(t, 3)) as [Service, Service, Service]
  const upstream = upstreamOf(t, one.origin)
  upstreamOf(t, `${clock.origin},${other.origin}`)
  await upstream.ready()
  upstream.reportFailure(one.origin)
  await eventually(() => clock.probes > 5)
  t.equal(one.probes, 0)
  t.same(picks(upstream, 3), { [one.origin]: 3 })
  t.same(upstream.targets(), [{ origin: one.origin, healthy: true }])
})

t.test('the targets of a list are used round robin', async (t) => {
  const services = await startServices(t, 3)
  const upstream = upstreamOf(t, services.map(({ origin }) => origin).join())
  await upstream.ready()
  const turns = Array.from({ length: 9 }, () => upstream.pick())
  t.same(turns.slice(3), turns.slice(0, 6), 'always the same order')
  t.equal(new Set(turns.slice(0, 3)).size, 3)
})

t.test('a target that is not ready or does not respond is not used until it is ready', async (t) => {
  const [a, b, c] = (await startServices(t, 3)) as [Service, Service, Service]
  const upstream = upstreamOf(t, [a.origin, b.origin, c.origin].join())
  a.status = 503
  b.hold = true
  await eventually(() => !healthOf(upstream, a.origin) && !healthOf(upstream, b.origin))
  t.same(picks(upstream, 10), { [c.origin]: 10 })
  a.status = 204
  b.hold = false
  await eventually(() => healthOf(upstream, a.origin) && healthOf(upstream, b.origin))
  t.same(picks(upstream, 9), { [a.origin]: 3, [b.origin]: 3, [c.origin]: 3 })
})

t.test('if all targets are down, all are tried', async (t) => {
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  const upstream = upstreamOf(t, `${a.origin},${b.origin}`)
  a.status = 503
  await b.stop()
  await eventually(() => upstream.targets().every(({ healthy }) => !healthy))
  t.same(picks(upstream, 4), { [a.origin]: 2, [b.origin]: 2 })
})

t.test('if none is healthy, a slow target is preferred to one that refuses connections', async (t) => {
  const [busy, stopped] = (await startServices(t, 2)) as [Service, Service]
  const upstream = upstreamOf(t, `${busy.origin},${stopped.origin}`)
  await stopped.stop()
  await eventually(() => !healthOf(upstream, stopped.origin))
  busy.hold = true
  await eventually(() => !healthOf(upstream, busy.origin))
  t.same(picks(upstream, 4), { [busy.origin]: 4 })
  upstream.reportFailure(busy.origin)
  t.same(picks(upstream, 4), { [busy.origin]: 2, [stopped.origin]: 2 }, 'a reported failure outweighs a slow probe')
})

t.test('a reported failure lasts until a later probe succeeds', async (t) => {
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  a.hold = true
  const upstream = upstreamOf(t, `${a.origin},${b.origin}`)
  await eventually(() => a.held.length === 1)
  upstream.reportFailure(a.origin)
  upstream.reportFailure('http://unknown')
  t.same(picks(upstream, 4), { [b.origin]: 4 })
  a.held[0]?.end()
  await eventually(() => a.held.length === 2)
  t.equal(healthOf(upstream, a.origin), false, 'the response to an older probe does not count')
  a.held[1]?.end()
  await eventually(() => healthOf(upstream, a.origin))
  t.same(picks(upstream, 4), { [a.origin]: 2, [b.origin]: 2 })
})

t.test('a target that sends Connection: close is about to shut down', async (t) => {
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  a.hold = true
  const upstream = upstreamOf(t, `${a.origin},${b.origin}`)
  await eventually(() => a.held.length === 1)
  upstream.reportAnswer(a.origin, 200, { connection: 'keep-alive' })
  upstream.reportAnswer(a.origin, 413, { connection: 'close' })
  t.same(picks(upstream, 4), { [a.origin]: 2, [b.origin]: 2 }, 'an error response closes only one connection')
  upstream.reportAnswer(a.origin, 200, { connection: 'close' })
  t.same(picks(upstream, 4), { [b.origin]: 4 })
})

t.test('a connection to a service is used for at most 4 s, idle or not, without Connection: close', async (t) => {
  const [busy, used, idle] = (await startServices(t, 3)) as [Service, Service, Service]
  const dispatcher = new Agent(serviceConnections)
  t.teardown(() => dispatcher.close())
  const send = async ({ origin }: Service) => {
    const { headers, body } = await request(origin, { dispatcher })
    await body.dump()
    return headers.connection
  }
  for (let n = 0; n < 300; n += 1) t.equal(await send(busy), 'keep-alive')
  await send(used)
  await send(idle)
  await wait(1_000)
  await send(used)
  t.same([used.connections, idle.open], [1, 1])
  // It is never idle long enough to be closed for that reason.
  await wait(1_600)
  await send(used)
  await wait(1_600)
  await send(used)
  t.equal(used.connections, 2)
  await eventually(() => used.open === 1 && idle.open === 0)
})

t.test('probes do not pile up on a target that hangs', async (t) => {
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  a.hold = true
  const began = performance.now()
  upstreamOf(t, `${a.origin},${b.origin}`)
  await eventually(() => b.probes >= 10)
  const seconds = Math.floor((performance.now() - began) / 990)
  t.ok(a.probes <= 1 + seconds, `${a.probes} probes, of one second each, in ${seconds} s`)
})

t.test('every probe opens a new connection, so that a server that stopped listening is detected', async (t) => {
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  upstreamOf(t, `${a.origin},${b.origin}`)
  await eventually(() => a.probes > 2)
  t.ok(a.connections >= a.probes, `${a.connections} connections, ${a.probes} probes`)
})

t.test('close ends the probes', async (t) => {
  const [a, b, clock, other] = (await startServices(t, 4)) as [Service, Service, Service, Service]
  const upstream = upstreamOf(t, `${a.origin},${b.origin}`)
  await eventually(() => a.probes > 1)
  await upstream.close()
  const before = a.probes
  upstreamOf(t, `${clock.origin},${other.origin}`)
  await eventually(() => clock.probes > 5)
  t.ok(a.probes <= before + 1, 'at most the probe that was in progress')
})

t.test('a rolling restart loses no request', async (t) => {
  const services = await startServices(t, 3)
  const upstream = upstreamOf(t, services.map(({ origin }) => origin).join())
  const seen = { done: false, ok: 0, failed: 0 }
  const send = async () => {
    while (!seen.done) {
      const { statusCode, body } = await request(`${upstream.pick()}/users`, { reset: true }).catch(() => {
        seen.failed += 1
        return { statusCode: 0, body: undefined }
      })
      await body?.dump()
      if (statusCode === 200) seen.ok += 1
    }
  }
  const senders = [send(), send(), send()]
  for (const service of services) {
    service.status = 503
    await eventually(() => !healthOf(upstream, service.origin))
    const left = seen.ok
    await eventually(() => seen.ok > left + 20)
    await service.stop()
    await startService(t, service.port)
    await eventually(() => healthOf(upstream, service.origin))
  }
  seen.done = true
  await Promise.all(senders)
  t.equal(seen.failed, 0)
  t.ok(seen.ok > 60)
})

t.test('probes and DNS queries do not keep the process alive', async (t) => {
  const dns = await startDns(t)
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  dns.records = [srv({ port: a.port }), srv({ port: b.port })]
  dns.glue = [address('127.0.0.1')]
  const module = new URL('../../../../src/platform/upstream/upstream.ts', import.meta.url)
  const code = `
    import { createUpstream } from '${module}'
    const log = { info() {}, warn() {} }
    const one = createUpstream({ name: 'a', url: '${a.origin},${b.origin}', probeEveryMs: 20, log })
    const two = createUpstream({ name: 'b', url: '${dns.url}', probeEveryMs: 20, log })
    await two.ready()
    console.log(one.targets().length + two.targets().length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { timeout: 10_000 })
  t.equal(stdout.trim(), '4')
})

t.test('weight 0 next to others has a very small chance, and the addresses of one target share its weight', async (t) => {
  const dns = await startDns(t)
  const weights: [string, number][] = [
    ['none', 0],
    ['two', 500],
    ['one', 500],
  ]
  dns.records = weights.map(([target, weight]) => srv({ port: 5001, target, weight }))
  dns.glue = [address('10.0.0.1', 'two'), address('10.0.0.2', 'two')]
  const upstream = upstreamOf(t, dns.url, { probeEveryMs: 60_000 })
  await upstream.ready()
  for (const origin of origins(upstream)) upstream.reportFailure(origin)
  t.equal(Object.keys(picks(upstream, 4)).length, 4, 'all down: round robin')
  await upstream.close()
  const fresh = upstreamOf(t, dns.url, { probeEveryMs: 60_000 })
  await fresh.ready()
  const counts = picks(fresh, 20_000)
  const [none = 0, first = 0, second = 0] = ['none', '10.0.0.1', '10.0.0.2'].map((host) => counts[`http://${host}:5001`] ?? 0)
  t.ok(none > 0 && none < 60, `${none} of 20000`)
  t.ok(Math.abs(first - 5_000) < 500 && Math.abs(second - 5_000) < 500, `${first} and ${second} of 20000`)
})
