import { type Static, type TSchema, Type } from 'typebox'
import { compile } from './platform/schema.ts'
import { parseUpstream } from './platform/upstream-url.ts'

/** Every service and the port that it listens on by default. */
export const ports = { gateway: 5000, user: 5001, order: 5002, product: 5003, notification: 5004 } as const
export type ServiceName = keyof typeof ports
export const serviceNames = Object.keys(ports) as ServiceName[]

const url = (schemes: string, description: string) =>
  Type.Optional(
    Type.String({
      pattern: `^(${schemes})://.+`,
      description,
      errorMessage: `must begin with ${schemes.replaceAll('|', ':// or ')}://`,
    }),
  )
const port = (description: string, fallback?: number) =>
  Type.Integer({ minimum: 0, maximum: 65_535, description, ...(fallback === undefined ? {} : { default: fallback }) })
const milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 600_000, default: fallback, description })

const databaseKeys = Object.fromEntries(
  serviceNames
    .filter((name) => name !== 'gateway')
    .map((name) => [
      `${name.toUpperCase()}_DATABASE_URL`,
      url('postgres|postgresql', `a database of its own for ${name}; otherwise DATABASE_URL`),
    ]),
)
const serviceKeys = Object.fromEntries(
  serviceNames.map((name) => [
    `${name.toUpperCase()}_SERVICE_URL`,
    Type.Optional(
      Type.String({
        description: `where ${name} is when it is not in this process: a URL, a comma list of URLs, or dns+srv://name`,
      }),
    ),
  ]),
)

/** The one list of the environment's keys. The README's table is generated from it. */
export const Environment = Type.Object({
  NODE_ENV: Type.String({
    default: 'development',
    description: '`production` listens on all addresses and never starts an embedded database',
  }),
  SERVICE: Type.String({
    default: 'all',
    description: `\`all\`, one of ${serviceNames.map((name) => `\`${name}\``).join(', ')}, or a comma list`,
  }),
  HOST: Type.Optional(Type.String({ description: 'address to listen on; 127.0.0.1, in production 0.0.0.0' })),
  PORT: Type.Optional(
    port(
      `0 takes a free one; by default the service's: ${serviceNames.map((name) => `${name} ${ports[name]}`).join(', ')}, all 5000`,
    ),
  ),
  METRICS_PORT: port('port of /metrics; 0 takes a free one', 9464),
  DATABASE_URL: url(
    'postgres|postgresql',
    'PostgreSQL for all modules; without it a real PostgreSQL starts by itself (development only)',
  ),
  ...databaseKeys,
  DATABASE_POOL: Type.Integer({
    minimum: 1,
    maximum: 200,
    default: 10,
    description: 'connections to each database, at the most',
  }),
  REDIS_URL: url('redis|rediss', 'carries the events; without it they travel through PostgreSQL (`DATABASE_URL`)'),
  ...serviceKeys,
  DATA_DIR: Type.String({ default: '.data', description: 'everything that the embedded mode writes' }),
  SMTP_URL: url('smtp|smtps', 'e-mail provider; without it messages are written to `DATA_DIR`/mail'),
  MAIL_FROM: Type.String({ default: 'OrderHub <orders@orderhub.example>', description: 'sender of e-mail' }),
  SMS_URL: url(
    'http|https',
    'SMS provider: `POST` with JSON `{to, from, text}` and `Idempotency-Key`; without it messages are written to `DATA_DIR`/mail',
  ),
  SMS_FROM: Type.String({ default: 'OrderHub', description: 'sender of SMS' }),
  RATE_LIMIT_PER_MINUTE: Type.Integer({
    minimum: 0,
    default: 600,
    description: 'requests of one client at the gateway; 0 turns the limit off',
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    description: 'origins that browsers may call the gateway from: a comma list, or `*`; none by default',
  }),
  REQUEST_TIMEOUT_MS: milliseconds(10_000, "the gateway's limit for one request; services take 80 %, a statement 50 % of it"),
  SHUTDOWN_DELAY_MS: milliseconds(0, 'how long a stopping service goes on serving, with readiness off'),
  TRUST_PROXY: Type.String({
    default: 'false',
    description: 'whose X-Forwarded-For is believed: `false`, `true`, a number of hops, or a comma list of addresses',
  }),
  LOG_LEVEL: Type.String({
    default: 'info',
    enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    description: 'least level that is written',
  }),
  SEED: Type.Optional(
    Type.Boolean({ description: 'writes the sample data to an empty database; on by default with the embedded database' }),
  ),
})

type Values = Static<typeof Environment>

/** Keys that begin so are ours: one that the schema does not have is a mistake, not somebody else's. */
const ours =
  /^(GATEWAY|USER|PRODUCT|ORDER|NOTIFICATION|DATABASE|REDIS|METRICS|SMTP|SMS|MAIL|RATE_LIMIT|CORS|REQUEST_TIMEOUT|SHUTDOWN|TRUST_PROXY|LOG_LEVEL)_/
/** What Kubernetes writes for a Service of such a name. */
const serviceLink = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** The configuration is wrong: every mistake, one line each. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export type Config = ReturnType<typeof readConfig>

const properties: Record<string, TSchema & { errorMessage?: string }> = Environment.properties

const upstreamProblem = (value: string): string | undefined => {
  try {
    parseUpstream(value)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

const trust = (value: string): boolean | string[] | ((address: string, hop: number) => boolean) => {
  if (value === 'true' || value === 'false') return value === 'true'
  const hops = /^\d+$/.test(value) ? Number(value) : undefined
  return hops === undefined ? value.split(',').map((part) => part.trim()) : (_address, hop) => hop < hops
}

/** Reads the environment. @throws ConfigError that lists every mistake */
export const readConfig = (env: Readonly<Record<string, string | undefined>>) => {
  const given = Object.fromEntries(
    Object.entries(env).filter(([key, value]) => key in properties && value !== '' && value !== undefined),
  )
  const problems = Object.keys(env)
    .filter((key) => ours.test(`${key}_`) && !(key in properties) && key !== 'USER' && !serviceLink.test(key))
    .map((key) => `${key} is not a key of the configuration`)

  const validate = compile(Environment, 'params')
  const values: Record<string, unknown> = { ...given }
  if (!validate(values)) {
    for (const { instancePath, message, params } of validate.errors ?? []) {
      const key = instancePath.slice(1)
      const allowed = params.allowedValues ? `: ${params.allowedValues.join(', ')}` : ''
      problems.push(`${key} ${properties[key]?.errorMessage ?? message}${allowed}, not ${JSON.stringify(given[key])}`)
    }
  }
  for (const name of serviceNames) {
    const key = `${name.toUpperCase()}_SERVICE_URL`
    const problem = given[key] === undefined ? undefined : upstreamProblem(given[key])
    if (problem) problems.push(`${key}: ${problem}`)
  }

  const checked = values as Values
  const production = checked.NODE_ENV === 'production'
  const names = String(checked.SERVICE)
    .split(',')
    .map((name) => name.trim())
  const selected = names.includes('all') ? serviceNames : serviceNames.filter((name) => names.includes(name))
  for (const name of names) {
    if (name !== 'all' && !(name in ports))
      problems.push(`SERVICE: there is no service "${name}"; there are ${serviceNames.join(', ')} and all`)
  }
  if (problems.length > 0) throw new ConfigError(problems)

  const moduleUrl = (name: string, kind: 'DATABASE' | 'SERVICE') => given[`${name.toUpperCase()}_${kind}_URL`]
  return {
    production,
    selected,
    /** What /health calls this process. */
    healthName: names.includes('all')
      ? 'orderhub'
      : selected.map((name) => (name === 'gateway' ? 'api-gateway' : `${name}-service`)).join(','),
    host: checked.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
    port: checked.PORT ?? (selected.includes('gateway') ? ports.gateway : ports[selected[0] as ServiceName]),
    metricsPort: checked.METRICS_PORT,
    databaseUrl: checked.DATABASE_URL,
    databaseUrlOf: (name: string): string | undefined => moduleUrl(name, 'DATABASE') ?? checked.DATABASE_URL,
    databasePool: checked.DATABASE_POOL,
    redisUrl: checked.REDIS_URL,
    serviceUrlOf: (name: string): string | undefined => moduleUrl(name, 'SERVICE'),
    dataDir: checked.DATA_DIR,
    smtpUrl: checked.SMTP_URL,
    mailFrom: checked.MAIL_FROM,
    smsUrl: checked.SMS_URL,
    smsFrom: checked.SMS_FROM,
    rateLimitPerMinute: checked.RATE_LIMIT_PER_MINUTE,
    corsOrigins: checked.CORS_ORIGINS.split(',')
      .map((origin) => origin.trim())
      .filter((origin) => origin !== ''),
    requestTimeoutMs: checked.REQUEST_TIMEOUT_MS,
    shutdownDelayMs: checked.SHUTDOWN_DELAY_MS,
    trustProxy: trust(checked.TRUST_PROXY),
    logLevel: checked.LOG_LEVEL,
    seed: checked.SEED,
  }
}
