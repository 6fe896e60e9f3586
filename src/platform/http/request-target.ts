import type { IncomingMessage } from 'node:http'
import { malformed, reasons } from './malformed.ts'

/** The origin form of a request's target: a client that treats us as a proxy sends the whole URL (RFC 9112, 3.2.2). */
export const originForm = (target: string): string => {
  const [, rest] = /^https?:\/\/[^/?#\\]+(|[/?\\][^#]*)$/i.exec(target) ?? []
  if (rest === undefined) return target
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Single-valued fields that decide the identity, the target and the body's length: two readers must not see different values. */
const single = new Set(['host', 'content-length', 'content-type', 'authorization', 'idempotency-key'])
/** RFC 9110, 7.2, and RFC 3986, 3.2.2: a name or an address, and a port. Empty if the target has no authority. */
const hostValue = /^(?:(?:[\w.~!$&'()*+;=-]|%[\da-f]{2})*|\[[\da-f:.]+\])(?::\d*)?$/i

/** Errors: request.malformed for heads that RFC 9112 forbids (3.2, 6.1), and for repeated fields. */
export const assertHead = ({ httpVersion, rawHeaders, headers }: IncomingMessage): void => {
  const found = new Set<string>()
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = (rawHeaders[n] as string).toLowerCase()
    if (!single.has(name)) continue
    if (found.has(name)) throw malformed(name === 'host' ? reasons.host : reasons.repeatedHeader)
    found.add(name)
  }
  if (!found.has('host') && httpVersion !== '1.0') throw malformed(reasons.host)
  if (!hostValue.test(headers.host ?? '')) throw malformed(reasons.hostValue)
  // HTTP/1.0 has no transfer codings: a proxy before us may have read another body.
  if (httpVersion === '1.0' && headers['transfer-encoding'] !== undefined) throw malformed(reasons.transferEncoding)
}
