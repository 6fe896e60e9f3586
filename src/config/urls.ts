import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { commaList } from './values.ts'

/** The error of a configured URL, as words that follow its key. No message contains the URL: it may have a password in it. */
type Check = (value: string) => string | undefined

const notUrl = 'is not a URL; other characters than letters and digits in a user or password are written as %XX'

const parsed = (value: string): URL | undefined => {
  const url = URL.parse(value)
  try {
    // The clients decode them, and a lone `%` cannot be decoded.
    for (const part of [url?.username, url?.password, url?.pathname]) decodeURIComponent(part ?? '')
    return url ?? undefined
  } catch {
    return undefined
  }
}

/** For checks that quote a parameter: after an `@` that is not written as %40 it may be the rest of a password. */
const parsedToQuote = (value: string): URL | undefined => {
  const url = parsed(value)
  return url && !(url.search + url.hash).includes('@') ? url : undefined
}

/** Of several hosts (`a:5432,b:5432`), which a URL cannot have, the first. */
const firstHost = (value: string): string => value.replace(/^(\w+:\/\/(?:[^@/?#]*@)?[^,/?#]*),[^/?#]*/, '$1')

/** The parameters that both PostgreSQL clients understand; they send others to the server, which refuses the connection. */
const databaseParameters: Readonly<Record<string, readonly string[] | undefined>> = {
  sslmode: ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'],
  sslnegotiation: ['postgres', 'direct'],
  // The others would look for a server that accepts no writes.
  target_session_attrs: ['any', 'read-write', 'primary'],
  sslrootcert: undefined,
  application_name: undefined,
}

/** `system` means the authorities that Node.js knows, as libpq uses those of the system. */
const rootCertificatesProblem = ({ searchParams }: URL): string | undefined => {
  const file = searchParams.get('sslrootcert')
  const mode = searchParams.get('sslmode')
  if (file === null) return undefined
  if (file === 'system')
    return mode === null || mode === 'verify-full' ? undefined : 'has sslrootcert=system, which needs sslmode=verify-full'
  if (mode === null || mode === 'disable' || mode === 'prefer')
    return 'has sslrootcert, which needs sslmode to be require, verify-ca or verify-full'
  try {
    new X509Certificate(readFileSync(file))
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === undefined || code.startsWith('ERR_') ? 'holds no certificate in PEM' : `cannot be read (${code})`
    return `has an sslrootcert that ${why}: ${JSON.stringify(file)}`
  }
}

export const databaseUrlProblem: Check = (value) => {
  const url = parsedToQuote(firstHost(value))
  if (!url) return notUrl
  for (const [name, given] of url.searchParams) {
    if (!Object.hasOwn(databaseParameters, name))
      return `has the parameter ${JSON.stringify(name)}; a database URL takes ${Object.keys(databaseParameters).join(', ')}`
    const allowed = databaseParameters[name]
    if (allowed && !allowed.includes(given)) return `has a wrong value of ${name}; it is one of ${allowed.join(', ')}`
  }
  if (url.searchParams.get('sslnegotiation') === 'direct' && /^(disable|prefer)?$/.test(url.searchParams.get('sslmode') ?? ''))
    return 'has sslnegotiation=direct, which needs sslmode to be require, verify-ca or verify-full'
  return rootCertificatesProblem(url)
}

const redisUrlProblem: Check = (value) => {
  const url = parsed(value)
  if (!url) return notUrl
  return /^(\/\d*)?$/.test(url.pathname) ? undefined : 'has a path that is not the number of a database'
}

const plainUrlProblem: Check = (value) => (parsed(value) ? undefined : notUrl)

/** Paths are appended to it. */
const baseUrlProblem: Check = (value) => {
  const url = parsed(value)
  if (!url) return notUrl
  return url.search || url.hash ? 'may have neither a query nor a fragment' : undefined
}

const anchorProblem: Check = (value) => {
  if (!/^\w[\w+.-]*:\/\//.test(value)) return undefined
  const url = parsedToQuote(value)
  if (!url) return notUrl
  if (url.protocol !== 's3:') return 'must be a folder or begin with s3://'
  if (!url.hostname) return 'must name a bucket: s3://bucket/prefix'
  const other = [...url.searchParams.keys()].find((name) => name !== 'region' && name !== 'endpoint')
  if (other !== undefined) return `has the parameter ${JSON.stringify(other)}; it takes region, endpoint`
  const endpoint = url.searchParams.get('endpoint')
  return endpoint === null || /^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')
    ? undefined
    : 'has an endpoint that is not an http:// or https:// URL'
}

const originsProblem: Check = (value) => {
  if (value.includes('@')) return 'may have neither a user nor a password in its origins'
  const wrong = commaList(value).find((part) => part !== '' && part !== '*' && URL.parse(part)?.origin !== part)
  return wrong === undefined
    ? undefined
    : `has ${JSON.stringify(wrong)}, which is not an origin as in https://shop.example (no path, no slash at the end)`
}

const checks: Readonly<Record<string, Check>> = {
  REDIS_URL: redisUrlProblem,
  SMTP_URL: plainUrlProblem,
  SMS_URL: plainUrlProblem,
  PUBLIC_URL: baseUrlProblem,
  OIDC_ISSUER: baseUrlProblem,
  AUDIT_ANCHOR: anchorProblem,
  CORS_ORIGINS: originsProblem,
}

/** @returns a line that begins with the key, or undefined if its value is valid or is no URL */
export const urlProblem = (key: string, value: string): string | undefined => {
  const check = key.endsWith('DATABASE_URL') ? databaseUrlProblem : checks[key]
  const problem = check?.(value)
  return problem && `${key} ${problem}`
}
