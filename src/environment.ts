import { Type } from 'typebox'
import { type ModuleName, moduleNames, registry } from './registry.ts'

export type ServiceName = ModuleName
/** Every service, in the order of their ports. */
export const serviceNames = moduleNames.toSorted((a, b) => registry[a].contract.port - registry[b].contract.port)
/** The default port of each service. */
export const ports = Object.fromEntries(serviceNames.map((name) => [name, registry[name].contract.port])) as Readonly<
  Record<ServiceName, number>
>
/** The services that store data. The others get no database address. */
export const storingServices: readonly ServiceName[] = serviceNames.filter((name) => !registry[name].contract.stateless)

/**
 * `quoted: false`: no message contains the value. `secret`: `<KEY>_FILE` may name a file with the value instead.
 * `readBy`: the services that read it, if not all do. Never give it to another one.
 */
const secret = (...readBy: readonly ServiceName[]) => ({ secret: true, quoted: false, ...(readBy.length > 0 ? { readBy } : {}) })

const url = (schemes: string, description: string, more: object = { quoted: false }) =>
  Type.Optional(
    Type.String({
      pattern: `^(${schemes})://.+`,
      description,
      errorMessage: `must begin with ${schemes.replaceAll('|', ':// or ')}://`,
      ...more,
    }),
  )
const port = (description: string, fallback?: number) =>
  Type.Integer({ minimum: 0, maximum: 65_535, description, ...(fallback === undefined ? {} : { default: fallback }) })
const milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 600_000, default: fallback, description })

const accountName = '[a-z0-9]([a-z0-9.-]*[a-z0-9])?'
const account = `(${serviceNames.join('|')})=(${accountName}/)?${accountName}`
const accountsPattern = `^${account}(,${account})*$`

const databaseKeys = Object.fromEntries(
  storingServices.map((name) => [
    `${name.toUpperCase()}_DATABASE_URL`,
    url('postgres|postgresql', `separate database or login for ${name}; default: DATABASE_URL`, secret(name)),
  ]),
)
const serviceKeys = Object.fromEntries(
  serviceNames.map((name) => [
    `${name.toUpperCase()}_SERVICE_URL`,
    Type.Optional(
      Type.String({
        description: `address of ${name} if it runs in another process: a URL, a comma-separated list of URLs, or dns+srv://name`,
      }),
    ),
  ]),
)

/** The only list of environment keys. The README's table is generated from it. */
export const Environment = Type.Object({
  NODE_ENV: Type.String({
    default: 'development',
    description: '`production` listens on all interfaces and never starts an embedded database',
  }),
  SERVICE: Type.String({
    default: 'all',
    description: `\`all\`, one of ${serviceNames.map((name) => `\`${name}\``).join(', ')}, or a comma-separated list of them`,
  }),
  HOST: Type.Optional(Type.String({ description: 'address to listen on; default: 127.0.0.1, in production 0.0.0.0' })),
  PORT: Type.Optional(
    port(
      `port to listen on; 0 picks a free one; default: the service's, ${serviceNames.map((name) => `${name} ${ports[name]}`).join(', ')}, all 5000`,
    ),
  ),
  METRICS_PORT: port('port of `/metrics`; 0 picks a free one', 9464),
  DATABASE_URL: url(
    'postgres|postgresql',
    'PostgreSQL for all modules; without it, an embedded PostgreSQL starts (development only)',
    secret(...storingServices),
  ),
  ...databaseKeys,
  DATABASE_POOL: Type.Integer({
    minimum: 1,
    maximum: 200,
    default: 10,
    description: 'maximum connections to each database; the readiness check uses one more',
  }),
  DATABASE_WAIT_SECONDS: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 60,
    description:
      'how long a start waits for a database that does not respond; errors that waiting cannot fix end the start at once',
  }),
  REDIS_URL: url(
    'redis|rediss',
    'Redis for the event queues; without it, events go through PostgreSQL (`DATABASE_URL`)',
    secret(),
  ),
  ...serviceKeys,
  DATA_DIR: Type.String({ default: '.data', description: 'folder for everything that the embedded mode writes' }),
  SMTP_URL: url('smtp|smtps', 'e-mail provider; without it, messages are written to `DATA_DIR`/mail', secret('notification')),
  MAIL_FROM: Type.String({
    default: 'OrderHub <orders@orderhub.example>',
    pattern: '^([^<>\\r\\n]*<[^<>@\\s]+@[^<>@\\s]+>|[^<>@\\s]+@[^<>@\\s]+)$',
    errorMessage: 'must be an address, as in Shop <orders@shop.example>',
    description: 'sender of e-mail; Message-IDs use its domain',
  }),
  SMS_URL: url(
    'http|https',
    'SMS provider: `POST` with JSON `{to, from, text}` and `Idempotency-Key`; without it, messages are written to `DATA_DIR`/mail',
    secret('notification'),
  ),
  SMS_FROM: Type.String({ default: 'OrderHub', description: 'sender of SMS' }),
  RATE_LIMIT_PER_MINUTE: Type.Integer({
    minimum: 0,
    default: 600,
    description: 'requests per client at the gateway; 0 turns the limit off',
  }),
  MAIL_LIMIT_PER_HOUR: Type.Integer({
    minimum: 0,
    default: 60,
    description: 'order mails that one person can cause to themselves; 0 turns the limit off',
  }),
  SMS_LIMIT_PER_HOUR: Type.Integer({
    minimum: 0,
    default: 20,
    description: 'the same for SMS, also per phone; 0 turns the limit off',
  }),
  ORDER_PENDING_TTL: Type.Optional(
    Type.String({
      pattern: '^P(?=.)(\\d{1,4}D)?(T(?=\\d)(\\d{1,5}H)?(\\d{1,6}M)?(\\d{1,7}S)?)?$',
      errorMessage: 'must be an ISO 8601 duration of days to seconds, such as PT30M or P2D',
      description:
        'pending orders older than this are cancelled and their stock goes back: an ISO 8601 duration, such as `PT30M` or `P2D`; without it, they never expire',
    }),
  ),
  ORDER_PENDING_LIMIT: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 100,
    description: 'maximum pending orders per person, if they order for themselves; 0 turns the limit off',
  }),
  ORDER_QUANTITY_LIMIT: Type.Integer({
    minimum: 0,
    default: 1000,
    description: 'maximum pieces of one product per order, if a person orders for themselves; 0 turns the limit off',
  }),
  CONNECTIONS_PER_CLIENT: Type.Integer({
    minimum: 0,
    default: 500,
    description:
      'maximum open connections to the gateway per peer address (IPv6: per /64); behind a proxy, the peer is the proxy; 0 turns the limit off',
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    description: 'origins from which browsers may call the gateway: a comma-separated list, or `*`; default: none',
  }),
  REQUEST_TIMEOUT_MS: milliseconds(
    10_000,
    "the gateway's time limit for a request; services use 80 % of it, an SQL statement 50 %",
  ),
  WRITE_TIMEOUT_MS: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 60_000,
    description: 'a connection is closed when its client reads nothing of a response for this long',
  }),
  WORKERS: Type.Integer({
    minimum: 1,
    maximum: 100,
    default: 10,
    description: 'events that a process handles concurrently, per queue',
  }),
  EVENT_RETRY_HOURS: Type.Integer({
    minimum: 1,
    maximum: 168,
    default: 24,
    description: 'how long a failing event is retried with exponential backoff before it becomes a dead letter',
  }),
  EVENT_RETRY_LONGEST_SECONDS: Type.Integer({
    minimum: 1,
    maximum: 3600,
    default: 300,
    description: 'maximum backoff between two attempts of an event',
  }),
  SHUTDOWN_DELAY_MS: milliseconds(0, 'how long a stopping service continues to serve, with readiness at 503'),
  TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'which proxies may set X-Forwarded-For: `false`, `true`, a number of hops, or a comma-separated list of addresses',
  }),
  LOG_LEVEL: Type.String({
    default: 'info',
    enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    description: 'minimum level that is logged',
  }),
  AUTH: Type.String({
    default: 'on',
    enum: ['on', 'off'],
    description: '`off` disables authentication and authorization, for tutorials and benchmarks; refused in production',
  }),
  AUTH_STALE_SECONDS: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 60,
    description: 'how long reads continue with the last known session while the user service is unavailable; 0 turns it off',
  }),
  KEYS_DIR: Type.Optional(
    Type.String({
      description:
        'folder with the keys, created by `node dist/keys.js init DIR`; required in production; default: `DATA_DIR`/keys, created at the first start',
    }),
  ),
  ADMIN_EMAIL: Type.Optional(
    Type.String({ format: 'email', description: 'e-mail address of the first administrator, created if there is none' }),
  ),
  ADMIN_PASSWORD: Type.Optional(
    Type.String({
      minLength: 12,
      maxLength: 128,
      ...secret('user'),
      description: "the first administrator's password; with the embedded database, one is generated and printed once",
    }),
  ),
  REGISTRATION: Type.String({
    default: 'open',
    enum: ['open', 'verify', 'off'],
    description: 'self-registration: `open`, `verify` (usable after a mailed token is confirmed), `off`',
  }),
  REQUIRE_ADMIN_MFA: Type.Boolean({
    default: false,
    description: 'administrators must enrol a second factor before they can do anything else, and must sign in with it',
  }),
  OIDC_ISSUER: url('https|http', 'also accept access tokens of this OpenID Connect issuer; needs `OIDC_AUDIENCE`'),
  OIDC_AUDIENCE: Type.Optional(Type.String({ description: "required audience of the issuer's tokens" })),
  OIDC_ROLES_CLAIM: Type.String({ default: 'roles', description: "claim of the issuer's tokens that holds OrderHub roles" }),
  OIDC_MFA_VALUES: Type.String({
    default: 'mfa,otp,hwk',
    description:
      "with `REQUIRE_ADMIN_MFA`: comma-separated values of `acr` or `amr`; an administrator's token from the issuer must have one of them",
  }),
  PUBLIC_URL: url(
    'https|http',
    'base URL of `/activate` and `/reset-password` for links in mails; default: in development http://127.0.0.1 and the port of a gateway in the same process, otherwise mails contain only the code',
  ),
  TLS_CERT_FILE: Type.Optional(
    Type.String({ description: 'certificate for mutual TLS between services (PEM); reloaded when it changes' }),
  ),
  TLS_KEY_FILE: Type.Optional(Type.String({ description: 'private key of the certificate (PEM)' })),
  TLS_CA_FILE: Type.Optional(Type.String({ description: 'certificate authorities for the other services (PEM)' })),
  SERVICE_ACCOUNT_TOKEN_FILE: Type.Optional(
    Type.String({
      pattern: '\\{service\\}',
      errorMessage: 'must contain {service}: there is one token for each called service',
      description:
        'projected Kubernetes service-account tokens, sent together with the service token: a path with `{service}` for the name of the called service, each with the audience `orderhub-{service}`; needs `SERVICE_ACCOUNT_NAMES`',
    }),
  ),
  SERVICE_ACCOUNT_NAMES: Type.Optional(
    Type.String({
      pattern: accountsPattern,
      errorMessage: `must be a comma-separated list of SERVICE=ACCOUNT or SERVICE=NAMESPACE/ACCOUNT, SERVICE being one of ${serviceNames.join(', ')}`,
      description:
        'service account of each service, by exact name, in the namespace of this process or another: `gateway=orderhub-gateway,user=shop/orderhub-user`',
    }),
  ),
  SERVICE_ACCOUNT_CA_FILE: Type.String({
    default: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    description: "additional certificate authorities for the cluster's token issuer (PEM)",
  }),
  SERVICE_ACCOUNT_API_TOKEN_FILE: Type.String({
    default: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    description: "token for the cluster's issuer, if it requires one to read its keys",
  }),
  AUDIT_ANCHOR: Type.Optional(
    Type.String({
      description:
        'stores checkpoints of the audit trail outside the database: a folder, or `s3://bucket/prefix?region=NAME&endpoint=URL` with object lock; default with the embedded database: `DATA_DIR`/audit-anchor',
    }),
  ),
  AWS_ACCESS_KEY_ID: Type.Optional(
    Type.String({
      ...secret('audit'),
      description: 'access key for an `AUDIT_ANCHOR` in a bucket; without it, web identity is used',
    }),
  ),
  AWS_SECRET_ACCESS_KEY: Type.Optional(Type.String({ ...secret('audit'), description: 'secret of the access key' })),
  AWS_SESSION_TOKEN: Type.Optional(Type.String({ ...secret('audit'), description: 'session token of temporary credentials' })),
  AWS_WEB_IDENTITY_TOKEN_FILE: Type.Optional(
    Type.String({
      description: "web identity token, such as a pod's, which AWS STS exchanges for credentials; needs `AWS_ROLE_ARN`",
    }),
  ),
  AWS_ROLE_ARN: Type.Optional(Type.String({ description: 'role of the web identity token' })),
  AWS_ENDPOINT_URL_STS: url('https|http', 'STS endpoint; default: AWS STS in the region of `AUDIT_ANCHOR`'),
  SEED: Type.Optional(
    Type.Boolean({ description: 'write sample data to an empty database; default: on with the embedded database' }),
  ),
})
