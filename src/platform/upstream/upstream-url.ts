import { type DnsServer, parseDnsServer } from './dns-srv.ts'

type UpstreamSource =
  | { kind: 'static'; origins: string[] }
  | { kind: 'srv'; scheme: 'http' | 'https'; name: string; server: DnsServer | undefined }

const DNS_NAME = /^(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i

const parseOne = (text: string): UpstreamSource => {
  const bad = (reason: string) => new Error(`bad upstream URL "${text.replace(/^(.*\/\/)?.*@/, '$1…@')}": ${reason}`)
  const scheme = /^(https?|dns\+srvs?):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (!scheme) throw bad('it must start with http://, https://, dns+srv:// or dns+srvs://')
  const url = URL.parse(text)
  if (!url) throw bad('it is not a URL')
  if (url.username || url.password) throw bad('it may not contain credentials')
  if ((url.pathname !== '' && url.pathname !== '/') || url.hash) throw bad('it may not contain a path')
  if (!scheme.startsWith('dns')) {
    if (url.search) throw bad('it may not contain a query')
    return { kind: 'static', origins: [url.origin] }
  }
  if (!DNS_NAME.test(url.hostname)) throw bad('it needs a DNS name')
  if (url.port) throw bad('the port comes from the SRV record')
  const asked = url.searchParams.get('server')
  const server = asked === null ? undefined : parseDnsServer(asked)
  if ([...url.searchParams.keys()].some((key) => key !== 'server')) throw bad('the only parameter is "server"')
  if (asked !== null && !server) throw bad('"server" must be host or host:port')
  return { kind: 'srv', scheme: scheme === 'dns+srvs' ? 'https' : 'http', name: url.hostname, server }
}

/**
 * Parses a service address: `http(s)://host:port`, a comma-separated list of these, or `dns+srv://name` (`dns+srvs://` for https
 * targets) with an optional `?server=host:port`. Throws an Error whose message is one line.
 */
export const parseUpstream = (url: string): UpstreamSource => {
  const sources = url.split(',').map((part) => parseOne(part.trim()))
  const [first] = sources
  if (first && sources.length === 1) return first
  const origins = sources.flatMap((source) => {
    if (source.kind === 'srv') throw new Error(`bad upstream URL "${url}": dns+srv:// cannot be part of a list`)
    return source.origins
  })
  return { kind: 'static', origins: [...new Set(origins)] }
}
