import { join } from 'node:path'
import type { TSchema } from 'typebox'
import { readSecretFiles } from './config/secret-files.ts'
import { urlProblem } from './config/urls.ts'
import { accountsOf, awsCredentialsOf, commaList, trust, type Values } from './config/values.ts'
import { Environment, ports, type ServiceName, serviceNames, storingServices } from './environment.ts'
import { compile } from './platform/schema.ts'
import { parseUpstream } from './platform/upstream/upstream-url.ts'

/** Prefixes of our keys: an unknown key with one of them is an error, not another program's. */
const ours = new RegExp(
  `^(${serviceNames.map((name) => name.toUpperCase()).join('|')}|DATABASE|REDIS|METRICS|SMTP|SMS|MAIL|RATE_LIMIT|CORS|REQUEST_TIMEOUT|WRITE_TIMEOUT|CONNECTIONS_PER|SHUTDOWN|TRUST_PROXY|LOG_LEVEL|AUTH|KEYS|ADMIN|REGISTRATION|REQUIRE_ADMIN|OIDC|TLS|SERVICE_ACCOUNT|WORKERS|EVENT)_`,
)
/** Set by a login for everybody (login(1), su(1)): an account's name and its mailbox. */
const loginKeys: readonly string[] = ['USER', 'MAIL']
/** Set by Kubernetes for a Service with such a name. */
const serviceLink = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** The configuration is wrong: every error, one line each. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export type Config = ReturnType<typeof inspectConfig>['config']

const validate = compile(Environment, 'params')
const properties: Record<string, TSchema & { errorMessage?: string; quoted?: boolean }> = Environment.properties

const upstreamProblem = (value: string): string | undefined => {
  // Before it is split at commas: a password may contain one, and a message quotes the parts.
  if (value.includes('@')) return 'it may not contain credentials'
  try {
    parseUpstream(value)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

const durationForm = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/

/** An ISO 8601 duration without years, months and weeks, whose length varies or which cannot be combined; 0 for another text. */
const durationMs = (text: string): number => {
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = durationForm.exec(text) ?? []
  return (((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
}

/** Reads the environment as far as possible, and returns its errors, one line each. */
export const inspectConfig = (environment: Readonly<Record<string, string | undefined>>) => {
  const { env, problems: fileProblems } = readSecretFiles(environment)
  const given = Object.fromEntries(
    Object.entries(env).filter(([key, value]) => key in properties && value !== '' && value !== undefined),
  )
  const problems = Object.keys(env)
    .filter((key) => ours.test(`${key}_`) && !(key in properties) && !loginKeys.includes(key) && !serviceLink.test(key))
    .map((key) => `${key} is not a key of the configuration`)
    .concat(fileProblems)

  const values: Record<string, unknown> = { ...given }
  if (!validate(values)) {
    for (const { instancePath, message, params } of validate.errors ?? []) {
      const key = instancePath.slice(1)
      const allowed = params.allowedValues ? `: ${params.allowedValues.join(', ')}` : ''
      const value = properties[key]?.quoted === false ? '' : `, not ${JSON.stringify(given[key])}`
      problems.push(`${key} ${properties[key]?.errorMessage ?? message}${allowed}${value}`)
    }
  }
  const wrong = new Set(validate.errors?.map(({ instancePath }) => instancePath.slice(1)))
  for (const [key, value] of Object.entries(given)) {
    const problem = wrong.has(key) ? undefined : urlProblem(key, value as string)
    if (problem) problems.push(problem)
  }
  for (const name of serviceNames) {
    const key = `${name.toUpperCase()}_SERVICE_URL`
    const problem = given[key] === undefined ? undefined : upstreamProblem(given[key])
    if (problem) problems.push(`${key}: ${problem}`)
  }

  const checked = values as Values
  const production = checked.NODE_ENV === 'production'
  const names = commaList(String(checked.SERVICE))
  const selected = names.includes('all') ? serviceNames : serviceNames.filter((name) => names.includes(name))
  for (const name of names) {
    if (name !== 'all' && !(name in ports))
      problems.push(`SERVICE: there is no service "${name}"; there are ${serviceNames.join(', ')} and all`)
  }
  if (production && checked.AUTH === 'off') problems.push('AUTH=off is refused with NODE_ENV=production')
  if (production && !given.KEYS_DIR) problems.push('KEYS_DIR is missing: create the keys with `node dist/keys.js init DIR`')
  const together = (...keys: readonly string[]) => {
    const missing = keys.filter((key) => given[key] === undefined)
    if (missing.length > 0 && missing.length < keys.length)
      problems.push(`${missing.join(', ')} missing: ${keys.join(', ')} go together`)
  }
  together('OIDC_ISSUER', 'OIDC_AUDIENCE')
  if (production && given.OIDC_ISSUER?.startsWith('http://')) problems.push('OIDC_ISSUER must begin with https:// in production')
  together('TLS_CERT_FILE', 'TLS_KEY_FILE', 'TLS_CA_FILE')
  for (const name of given.TLS_CERT_FILE ? serviceNames : []) {
    const key = `${name.toUpperCase()}_SERVICE_URL`
    if (/(^|,)\s*(http|dns\+srv):/.test(given[key] ?? ''))
      problems.push(`${key} must begin with https:// or dns+srvs:// with TLS_CERT_FILE`)
  }
  together('ADMIN_EMAIL', 'ADMIN_PASSWORD')
  together('SERVICE_ACCOUNT_TOKEN_FILE', 'SERVICE_ACCOUNT_NAMES')
  together('AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN')
  const bucketAccess = (given.AWS_ACCESS_KEY_ID && given.AWS_SECRET_ACCESS_KEY) || given.AWS_WEB_IDENTITY_TOKEN_FILE
  if (selected.includes('audit') && given.AUDIT_ANCHOR?.startsWith('s3://') && !bucketAccess)
    problems.push(
      'AUDIT_ANCHOR: a bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN',
    )

  const port = checked.PORT ?? (selected.includes('gateway') ? ports.gateway : ports[selected[0] as ServiceName])
  /** In development, for a gateway whose port is known beforehand. */
  const ownAddress = !production && selected.includes('gateway') && port !== 0 ? `http://127.0.0.1:${port}` : undefined
  const moduleUrl = (name: string, kind: 'DATABASE' | 'SERVICE') => given[`${name.toUpperCase()}_${kind}_URL`]
  const config = {
    production,
    selected,
    /** The name of this process in /health. */
    healthName: names.includes('all')
      ? 'orderhub'
      : selected.map((name) => (name === 'gateway' ? 'api-gateway' : `${name}-service`)).join(','),
    host: checked.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
    port,
    metricsPort: checked.METRICS_PORT,
    databaseUrl: checked.DATABASE_URL,
    /** Undefined for a service that stores no data, whatever is in the environment. */
    databaseUrlOf: (name: string): string | undefined =>
      storingServices.some((storing) => storing === name) ? (moduleUrl(name, 'DATABASE') ?? checked.DATABASE_URL) : undefined,
    databasePool: checked.DATABASE_POOL,
    databaseWaitMs: checked.DATABASE_WAIT_SECONDS * 1000,
    redisUrl: checked.REDIS_URL,
    serviceUrlOf: (name: string): string | undefined => moduleUrl(name, 'SERVICE'),
    dataDir: checked.DATA_DIR,
    smtpUrl: checked.SMTP_URL,
    mailFrom: checked.MAIL_FROM,
    smsUrl: checked.SMS_URL,
    smsFrom: checked.SMS_FROM,
    rateLimitPerMinute: checked.RATE_LIMIT_PER_MINUTE,
    messagesPerHour: { email: checked.MAIL_LIMIT_PER_HOUR, sms: checked.SMS_LIMIT_PER_HOUR },
    /** 0: never. */
    orderPendingTtlMs: durationMs(checked.ORDER_PENDING_TTL ?? ''),
    orderLimits: { pending: checked.ORDER_PENDING_LIMIT, quantity: checked.ORDER_QUANTITY_LIMIT },
    connectionsPerClient: checked.CONNECTIONS_PER_CLIENT,
    corsOrigins: commaList(checked.CORS_ORIGINS).filter((origin) => origin !== ''),
    requestTimeoutMs: checked.REQUEST_TIMEOUT_MS,
    writeTimeoutMs: checked.WRITE_TIMEOUT_MS,
    workers: checked.WORKERS,
    eventRetry: { hours: checked.EVENT_RETRY_HOURS, longestSeconds: checked.EVENT_RETRY_LONGEST_SECONDS },
    shutdownDelayMs: checked.SHUTDOWN_DELAY_MS,
    trustProxy: trust(checked.TRUST_PROXY),
    logLevel: checked.LOG_LEVEL,
    seed: checked.SEED,
    auth: checked.AUTH === 'on',
    authStaleMs: checked.AUTH_STALE_SECONDS * 1000,
    keysDir: checked.KEYS_DIR ?? join(checked.DATA_DIR, 'keys'),
    /** Whether this process may create keys in the folder: only the default folder. */
    makeKeys: !given.KEYS_DIR,
    admin:
      checked.ADMIN_EMAIL && checked.ADMIN_PASSWORD
        ? { email: checked.ADMIN_EMAIL, password: checked.ADMIN_PASSWORD }
        : undefined,
    registration: checked.REGISTRATION as 'open' | 'verify' | 'off',
    requireAdminMfa: checked.REQUIRE_ADMIN_MFA,
    oidc:
      checked.OIDC_ISSUER && checked.OIDC_AUDIENCE
        ? {
            issuer: checked.OIDC_ISSUER,
            audience: checked.OIDC_AUDIENCE,
            rolesClaim: checked.OIDC_ROLES_CLAIM,
            adminMfa: checked.REQUIRE_ADMIN_MFA ? commaList(checked.OIDC_MFA_VALUES) : undefined,
          }
        : undefined,
    publicUrl: checked.PUBLIC_URL ?? ownAddress,
    tls:
      checked.TLS_CERT_FILE && checked.TLS_KEY_FILE && checked.TLS_CA_FILE
        ? { certFile: checked.TLS_CERT_FILE, keyFile: checked.TLS_KEY_FILE, caFile: checked.TLS_CA_FILE }
        : undefined,
    serviceAccount: checked.SERVICE_ACCOUNT_TOKEN_FILE
      ? {
          accounts: accountsOf(checked.SERVICE_ACCOUNT_NAMES ?? ''),
          tokenFile: checked.SERVICE_ACCOUNT_TOKEN_FILE,
          caFile: checked.SERVICE_ACCOUNT_CA_FILE,
          apiTokenFile: checked.SERVICE_ACCOUNT_API_TOKEN_FILE,
        }
      : undefined,
    auditAnchor: checked.AUDIT_ANCHOR,
    awsCredentials: awsCredentialsOf(checked),
  }
  return { config, problems: problems as readonly string[] }
}

/** Reads the environment. @throws ConfigError that lists every error */
export const readConfig = (env: Readonly<Record<string, string | undefined>>): Config => {
  const { config, problems } = inspectConfig(env)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

/** Modules of this process without a database URL. */
export const modulesWithoutDatabase = ({ selected, databaseUrlOf }: Config): string[] =>
  selected.filter((name) => storingServices.includes(name) && !databaseUrlOf(name))

export const databaseProblems = (config: Config): string[] => {
  const missing = modulesWithoutDatabase(config).map((name) => `${name.toUpperCase()}_DATABASE_URL`)
  return missing.length === 0 ? [] : [`DATABASE_URL is missing (or ${missing.join(', ')})`]
}
