import type { IncomingMessage } from 'node:http'
import { malformed, reasons } from './malformed.ts'

/** The origin form of a request's target: a client that takes us for a proxy sends the whole URL (RFC 9112, 3.2.2). */
export const originForm = (target: string): string => {
  const [, rest] = /^https?:\/\/[^/?#\\]+(|[/?\\][^#]*)$/i.exec(target) ?? []
  if (rest === undefined) return target
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** RFC 9112, 3.2: a request of HTTP/1.1 names its host, once. */
export const assertHost = ({ httpVersion, rawHeaders }: IncomingMessage): void => {
  const hosts = rawHeaders.filter((name, n) => n % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host').length
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0')) throw malformed(reasons.host)
}
