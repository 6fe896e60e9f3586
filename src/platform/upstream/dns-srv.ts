import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import { connect, isIP, isIPv6 } from 'node:net'
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED, type StringAnswer } from 'dns-packet'
import { abortAfter } from '../concurrency/deadline.ts'

export interface DnsServer {
  host: string
  port: number
}

interface SrvSource {
  name: string
  /** The resolver to query; default: those of dns.getServers(). */
  server?: DnsServer | undefined
  /** Whether a target's address may replace its name. Not for https: a certificate is for the name. */
  addresses: boolean
}

/** `host` is as in a URL: an IPv6 address is in brackets. */
interface SrvTarget {
  host: string
  port: number
  priority: number
  weight: number
}

const TRY_MS = 1_500
const TTL_MS = { floor: 1_000, cap: 300_000 }
const BACKOFF_MS = { first: 1_000, cap: 30_000 }
const NXDOMAIN = 3
const UDP_PAYLOAD = 1_232

/** Parses `10.0.0.2`, `consul:8600` or `[::1]:53` (default port 53); undefined for anything else. */
export const parseDnsServer = (text: string): DnsServer | undefined => {
  if (isIP(text)) return { host: text, port: 53 }
  const [, six, plain, digits = '53'] = /^(?:\[([^\]]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = six ?? plain
  const port = Number(digits)
  return host && (!six || isIPv6(six)) && port > 0 && port < 65_536 ? { host, port } : undefined
}

const answers = (message: Buffer, query: Buffer) =>
  message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0) && (message.readUInt8(2) & 0x80) !== 0

const overUdp = (server: DnsServer, query: Buffer, signal: AbortSignal) =>
  new Promise<Buffer>((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(server.host) ? 'udp6' : 'udp4', signal })
    const end = () => socket.close()
    socket.once('close', () => reject(new Error('no response')))
    socket.once('error', (error) => {
      reject(error)
      end()
    })
    socket.on('message', (message) => {
      if (!answers(message, query)) return
      resolve(message)
      end()
    })
    // Connected, so that only this server can respond and a closed port is an error at once.
    socket.once('connect', () => socket.send(query))
    socket.connect(server.port, server.host)
  })

const overTcp = (server: DnsServer, query: Buffer, signal: AbortSignal) =>
  new Promise<Buffer>((resolve, reject) => {
    const socket = connect({ host: server.host, port: server.port, signal })
    let received = Buffer.alloc(0)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('no complete response over TCP')))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      const message = received.subarray(2, 2 + received.readUInt16BE(0))
      if (answers(message, query)) resolve(message)
      socket.destroy()
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
  })

const opt = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_PAYLOAD,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
} as const

const ask = async (name: string, server: DnsServer, edns: boolean, signal: AbortSignal): Promise<DecodedPacket> => {
  const query = encode({
    type: 'query',
    id: randomInt(65_536),
    flags: RECURSION_DESIRED,
    questions: [{ type: 'SRV', name }],
    additionals: edns ? [{ ...opt, options: [] }] : [],
  })
  const udp = await abortAfter(TRY_MS, (limit) => overUdp(server, query, limit), { outer: signal })
  // The bit is read before decoding: a truncated message may end in the middle of a record.
  const truncated = (udp.readUInt8(2) & 0x02) !== 0
  return decode(truncated ? await abortAfter(TRY_MS, (limit) => overTcp(server, query, limit), { outer: signal }) : udp)
}

const isAddress = (record: Answer): record is StringAnswer => record.type === 'A' || record.type === 'AAAA'

const read = (packet: DecodedPacket, addresses: boolean) => {
  // The target '.' says that the service does not exist (RFC 2782).
  const records = (packet.answers ?? []).filter((record) => record.type === 'SRV').filter((record) => record.data.target !== '.')
  const glue = (packet.additionals ?? []).filter(isAddress)
  const ttls = records.map((record) => record.ttl ?? 0)
  const targets = records.flatMap(({ data: { target, port, priority = 0, weight = 0 } }): SrvTarget[] => {
    const own = addresses ? glue.filter((record) => record.name.toLowerCase() === target.toLowerCase()) : []
    // One family only: both name the same process, which would get twice its share.
    const used = own.some((record) => record.type === 'A') ? own.filter((record) => record.type === 'A') : own
    ttls.push(...used.map((record) => record.ttl ?? 0))
    const hosts = used.map(({ type, data }) => (type === 'A' ? data : `[${data}]`))
    if (hosts.length === 0) hosts.push(target)
    return hosts.map((host) => ({ host, port, priority, weight: weight / hosts.length }))
  })
  return { targets, ttlMs: Math.min(TTL_MS.cap, Math.max(TTL_MS.floor, Math.min(...ttls) * 1_000)) }
}

/**
 * Queries the SRV records of a name (RFC 2782), over UDP and, if the response is truncated, over TCP. `ttlMs` is how long the
 * whole response may be used, 1 s to 5 min. A name that does not exist has no targets; rejects if no server responds.
 */
export const resolveSrv = async (source: SrvSource, signal: AbortSignal) => {
  const servers = source.server ? [source.server] : dns.getServers().flatMap((text) => parseDnsServer(text) ?? [])
  let failure = new Error('no DNS server is configured')
  // The second round is without EDNS, which an old server or firewall may refuse (RFC 6891, 6.2.2).
  for (const edns of [true, false]) {
    for (const server of servers) {
      try {
        const packet = await ask(source.name, server, edns, signal)
        const rcode = (packet.flags ?? 0) & 0x0f
        if (rcode === 0 || rcode === NXDOMAIN) return read(packet, source.addresses)
        throw new Error(`response code ${rcode}`)
      } catch (error) {
        signal.throwIfAborted()
        failure = new Error(`${server.host} port ${server.port}: ${(error as Error).message}`, { cause: error })
      }
    }
  }
  throw failure
}

/**
 * Resolves a name again whenever its TTL ends. After a failure or a response without targets it retries after 1 s, 2 s … 30 s and
 * reports that instead. `first` resolves after the first attempt, successful or not.
 */
export const watchSrv = (
  source: SrvSource,
  on: { targets: (targets: SrvTarget[]) => void; failure: (error: Error, retryMs: number) => void },
) => {
  const stop = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let backoff = BACKOFF_MS.first
  const turn = async () => {
    let waitMs = backoff
    try {
      const { targets, ttlMs } = await resolveSrv(source, stop.signal)
      if (targets.length === 0) throw new Error('the name has no SRV targets')
      if (stop.signal.aborted) return
      waitMs = ttlMs
      backoff = BACKOFF_MS.first
      on.targets(targets)
    } catch (error) {
      if (stop.signal.aborted) return
      backoff = Math.min(BACKOFF_MS.cap, backoff * 2)
      on.failure(error as Error, waitMs)
    }
    timer = setTimeout(turn, waitMs).unref()
  }
  const close = () => {
    clearTimeout(timer)
    stop.abort()
  }
  return { first: turn(), close }
}
