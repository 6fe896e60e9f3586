import { setServers } from 'node:dns'
import t from 'tap'
import { resolveSrv } from '../../../../src/platform/upstream/dns-srv.ts'
import { eventually } from '../../../../testing/eventually.ts'
import {
  address,
  healthOf,
  NAME,
  origins,
  picks,
  type Service,
  srv,
  startDns,
  startService,
  startServices,
  upstreamOf,
} from '../../../../testing/upstream.ts'

const SERVFAIL = 2
const NXDOMAIN = 3

t.jobs = 8

t.test('SRV targets are resolved again when the TTL ends', async (t) => {
  const dns = await startDns(t)
  const [a, b] = (await startServices(t, 2)) as [Service, Service]
  dns.records = [srv({ port: a.port, target: 'A.pod.local' })]
  dns.glue = [address('127.0.0.1', 'a.pod.local')]
  const upstream = upstreamOf(t, dns.url)
  t.equal(upstream.pick(), undefined)
  await upstream.ready()
  t.same(upstream.targets(), [{ origin: a.origin, healthy: true }])
  t.same([...dns.asked.names], [`SRV ${NAME}`], 'the name is queried unchanged')

  b.hold = true
  dns.records.push(srv({ port: b.port, target: 'b.pod.local' }))
  dns.glue.push(address('127.0.0.1', 'b.pod.local'))
  await eventually(() => upstream.targets().length === 2)
  t.equal(healthOf(upstream, b.origin), true, 'healthy until probed')
  t.same(picks(upstream, 4), { [a.origin]: 2, [b.origin]: 2 })
  await eventually(() => !healthOf(upstream, b.origin))

  dns.records.shift()
  await eventually(() => upstream.targets().length === 1)
  t.same(upstream.targets(), [{ origin: b.origin, healthy: true }], 'a single target is not probed, so it counts as healthy')
})

t.test('a TTL of 0 counts as one second, and one of a day as five minutes', async (t) => {
  const dns = await startDns(t)
  dns.records = [srv({ port: 80, ttl: 0 })]
  upstreamOf(t, dns.url)
  await eventually(() => dns.asked.udp.length >= 3)
  const [one = 0, two = 0, three = 0] = dns.asked.udp
  t.ok(two - one > 900 && three - two > 900, `${two - one} ms, ${three - two} ms`)
  dns.records = [srv({ port: 80, ttl: 86_400 })]
  const source = { name: NAME, server: { host: '127.0.0.1', port: dns.port }, addresses: true }
  t.equal((await resolveSrv(source, AbortSignal.timeout(5_000))).ttlMs, 300_000)
  dns.records = [srv({ port: 80, ttl: 60 }), srv({ port: 81, ttl: 50 })]
  t.equal((await resolveSrv(source, AbortSignal.timeout(5_000))).ttlMs, 50_000)
})

t.test('addresses come from the additional section, names are kept without it and for https', async (t) => {
  const dns = await startDns(t)
  dns.records = ['four', 'six', 'none'].map((target) => srv({ port: 5001, target }))
  dns.glue = [address('10.0.0.3', 'four'), address('fd00::4', 'four'), address('fd00::6', 'six')]
  const plain = upstreamOf(t, dns.url)
  const secure = upstreamOf(t, dns.url.replace('srv', 'srvs'))
  await Promise.all([plain.ready(), secure.ready()])
  t.same(origins(plain), ['http://10.0.0.3:5001', 'http://[fd00::6]:5001', 'http://none:5001'])
  t.same(origins(secure), ['https://four:5001', 'https://none:5001', 'https://six:5001'])
})

t.test('a truncated response is retried over TCP', async (t) => {
  const dns = await startDns(t)
  dns.truncate = true
  dns.records = Array.from({ length: 40 }, (_, index) => srv({ port: 5001 + index }))
  dns.glue = [address('10.0.0.3')]
  const upstream = upstreamOf(t, dns.url)
  await upstream.ready()
  t.equal(upstream.targets().length, 40)
  t.equal(dns.asked.tcp, 1)
})

t.test('a query is retried without EDNS if the server refuses it', async (t) => {
  const dns = await startDns(t)
  dns.edns = false
  dns.records = [srv({ port: 5001 })]
  const upstream = upstreamOf(t, dns.url)
  await upstream.ready()
  t.same(origins(upstream), ['http://pod.local:5001'])
})

t.test("without ?server= the system's servers are queried, the next one if one fails", async (t) => {
  const [silent, dns] = [await startDns(t), await startDns(t)]
  silent.silent = true
  dns.records = [srv({ port: 5001 })]
  setServers([`127.0.0.1:${silent.port}`, `127.0.0.1:${dns.port}`])
  const upstream = upstreamOf(t, `dns+srv://${NAME}`)
  await upstream.ready()
  t.same(origins(upstream), ['http://pod.local:5001'])
  t.equal(silent.asked.udp.length, 1)
})

t.test('a name that does not exist, has no records or only "." has no targets until records appear', async (t) => {
  for (const [rcode, records] of [[NXDOMAIN, []] as const, [0, []] as const, [0, [srv({ port: 0, target: '.' })]] as const]) {
    const dns = await startDns(t)
    Object.assign(dns, { rcode, records: [...records] })
    const upstream = upstreamOf(t, dns.url)
    await upstream.ready()
    t.equal(upstream.pick(), undefined)
    t.same(upstream.targets(), [])
    t.equal(dns.asked.udp.length, 1, 'this is a valid response, so no other server is queried')
    Object.assign(dns, { rcode: 0, records: [srv({ port: 5001 })] })
    await eventually(() => upstream.pick() === 'http://pod.local:5001')
  }
})

t.test('the last known targets are kept while DNS fails', async (t) => {
  const dns = await startDns(t)
  dns.records = [srv({ port: 5001 })]
  const warned: string[] = []
  const upstream = upstreamOf(t, dns.url, {
    log: { info: () => {}, warn: (_: unknown, text?: string) => warned.push(text ?? '') },
  })
  await upstream.ready()
  for (const [rcode, warning] of [[SERVFAIL, /response code 2/] as const, [NXDOMAIN, /no SRV targets/] as const]) {
    dns.rcode = rcode
    await eventually(() => warned.some((text) => warning.test(text)))
    t.same(origins(upstream), ['http://pod.local:5001'])
  }
  Object.assign(dns, { rcode: 0, records: [srv({ port: 5002 })] })
  await eventually(() => upstream.pick() === 'http://pod.local:5002', { timeoutMs: 20_000 })
})

t.test('the pause grows after each failure', async (t) => {
  const dns = await startDns(t)
  dns.rcode = NXDOMAIN
  upstreamOf(t, dns.url)
  await eventually(() => dns.asked.udp.length === 3, { timeoutMs: 10_000 })
  const [one = 0, two = 0, three = 0] = dns.asked.udp
  t.ok(two - one > 900 && three - two > 1_900, `${two - one} ms, ${three - two} ms`)
})

t.test('ready does not reject without a server, and close aborts a query', async (t) => {
  const dns = await startDns(t)
  dns.silent = true
  const closed = await startService(t)
  await closed.stop()
  const upstream = upstreamOf(t, `dns+srv://${NAME}?server=127.0.0.1:${closed.port}`)
  await upstream.ready()
  t.equal(upstream.pick(), undefined)
  const waiting = upstreamOf(t, dns.url)
  await eventually(() => dns.asked.udp.length === 1)
  const began = performance.now()
  await waiting.close()
  await waiting.ready()
  t.ok(performance.now() - began < 500)
})

t.test('the lowest priority with a healthy target is used, by weight', async (t) => {
  const dns = await startDns(t)
  const [a, b, c, d] = (await startServices(t, 4)) as [Service, Service, Service, Service]
  dns.records = [
    srv({ port: c.port, priority: 20 }),
    srv({ port: d.port, priority: 20 }),
    srv({ port: a.port, priority: 10, weight: 90 }),
    srv({ port: b.port, priority: 10, weight: 10 }),
  ]
  dns.glue = [address('127.0.0.1')]
  const upstream = upstreamOf(t, dns.url)
  await upstream.ready()
  const counts = picks(upstream, 2_000)
  t.same(Object.keys(counts).sort(), [a.origin, b.origin].sort())
  const share = counts[a.origin] ?? 0
  t.ok(share > 1_700 && share < 1_900, `${share} of 2000`)
  a.status = 503
  await eventually(() => !healthOf(upstream, a.origin))
  t.same(picks(upstream, 5), { [b.origin]: 5 })
  b.status = 503
  await eventually(() => !healthOf(upstream, b.origin))
  t.same(picks(upstream, 10), { [c.origin]: 5, [d.origin]: 5 })
  a.status = 200
  await eventually(() => healthOf(upstream, a.origin))
  t.same(picks(upstream, 5), { [a.origin]: 5 })
})
