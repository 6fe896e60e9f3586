import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { type Answer, decode, encode, streamEncode, TRUNCATED_RESPONSE } from 'dns-packet'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createUpstream } from '../src/platform/upstream/upstream.ts'

export const NAME = '_http._tcp.user.default.svc.cluster.local'

/**
 * A service. `status`: of its health probe. While `hold` is set, probes wait in `held`. `connections`: number so far. `open`: the
 * open ones.
 */
export const startService = async (t: Test, port = 0) => {
  const held: ServerResponse[] = []
  const state = { status: 200, hold: false, probes: 0, connections: 0, open: 0, held }
  const server = createServer((incoming, response) => {
    if (incoming.url !== '/health/ready') return response.end('ok')
    state.probes += 1
    if (state.hold) return held.push(response)
    response.statusCode = state.status
    response.end()
  })
  // Fastify's default value.
  server.keepAliveTimeout = 72_000
  server.on('connection', (socket) => {
    state.connections += 1
    state.open += 1
    socket.on('close', () => {
      state.open -= 1
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  t.teardown(() => server.listening && stop())
  const own = (server.address() as AddressInfo).port
  return Object.assign(state, { port: own, origin: `http://127.0.0.1:${own}`, stop })
}

export const startServices = (t: Test, count: number) => Promise.all(Array.from({ length: count }, () => startService(t)))

export type Service = Awaited<ReturnType<typeof startService>>

const bindBoth = async () => {
  for (;;) {
    const udp = createSocket('udp4').bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const tcp = createTcpServer().listen(udp.address().port, '127.0.0.1')
    try {
      await once(tcp, 'listening')
      return { udp, tcp }
    } catch {
      udp.close()
    }
  }
}

export const startDns = async (t: Test) => {
  const { udp, tcp } = await bindBoth()
  const asked = { udp: [] as number[], tcp: 0, names: new Set<string>() }
  const state = { records: [] as Answer[], glue: [] as Answer[], rcode: 0, truncate: false, silent: false, edns: true, asked }
  const answer = (query: Buffer, truncate: boolean) => {
    const { id, questions, additionals } = decode(query)
    for (const question of questions ?? []) asked.names.add(`${question.type} ${question.name}`)
    const rcode = !state.edns && additionals?.length ? 1 : state.rcode
    const full = rcode === 0 && !truncate
    return {
      type: 'response' as const,
      id,
      flags: (truncate ? TRUNCATED_RESPONSE : 0) | rcode,
      questions,
      answers: full ? state.records : [],
      additionals: full ? state.glue : [],
    }
  }
  udp.on('message', (query, from) => {
    asked.udp.push(performance.now())
    if (state.silent) return
    const packet = encode(answer(query, state.truncate))
    // A truncated message may end anywhere: here in the middle of the question section.
    udp.send(state.truncate ? packet.subarray(0, packet.length - 3) : packet, from.port, from.address)
  })
  tcp.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      asked.tcp += 1
      const packet = streamEncode(answer(data.subarray(2), false))
      // In two segments, as TCP may deliver it.
      socket.write(packet.subarray(0, 1))
      setTimeout(() => socket.end(packet.subarray(1)), 20)
    })
  })
  t.teardown(() => {
    udp.close()
    tcp.close()
  })
  const { port } = udp.address()
  return Object.assign(state, { port, url: `dns+srv://${NAME}?server=127.0.0.1:${port}` })
}

interface Place {
  port: number
  target?: string
  priority?: number
  weight?: number
  ttl?: number
}

export const srv = ({ port, target = 'pod.local', priority = 0, weight = 0, ttl = 1 }: Place): Answer => ({
  type: 'SRV',
  name: NAME,
  ttl,
  data: { port, target, priority, weight },
})

export const address = (data: string, name = 'pod.local'): Answer => ({
  type: data.includes(':') ? 'AAAA' : 'A',
  name,
  ttl: 1,
  data,
})

type UpstreamLog = Parameters<typeof createUpstream>[0]['log']

export const upstreamOf = (t: Test, url: string, { probeEveryMs = 20, log = pino({ level: 'silent' }) as UpstreamLog } = {}) => {
  const upstream = createUpstream({ name: 'user', url, probeEveryMs, log })
  t.teardown(() => upstream.close())
  return upstream
}

type Picker = Pick<ReturnType<typeof createUpstream>, 'pick' | 'targets'>
export const picks = (upstream: Picker, count: number) => {
  const counts: Record<string, number> = {}
  for (let index = 0; index < count; index += 1) {
    const origin = upstream.pick() ?? 'none'
    counts[origin] = (counts[origin] ?? 0) + 1
  }
  return counts
}
export const healthOf = (upstream: Picker, origin: string) =>
  upstream.targets().some((target) => target.origin === origin && target.healthy)
export const origins = (upstream: Picker) => upstream.targets().map(({ origin }) => origin)
