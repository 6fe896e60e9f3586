import { Type } from 'typebox'
import { type ModuleName, registry } from './registry.ts'

export type ServiceName = ModuleName
/** Every service, in the order of their ports. */
export const serviceNames = (Object.keys(registry) as ServiceName[]).toSorted(
  (a, b) => registry[a].contract.port - registry[b].contract.port,
)
/** The port that each service listens on by default. */
export const ports = Object.fromEntries(serviceNames.map((name) => [name, registry[name].contract.port])) as Readonly<
  Record<ServiceName, number>
>
/** The services that keep data: no other one reads a database's address, nor needs the database. */
export const storingServices: readonly ServiceName[] = serviceNames.filter((name) => !registry[name].contract.stateless)

/**
 * `quoted: false`: no message holds the value. `secret`: the value may also be in a file that `<KEY>_FILE` names.
 * `readBy`: the services that read it, where not all do; no other one should be given it.
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
    url('postgres|postgresql', `a database, or a login, of its own for ${name}; otherwise DATABASE_URL`, secret(name)),
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
    secret(...storingServices),
  ),
  ...databaseKeys,
  DATABASE_POOL: Type.Integer({
    minimum: 1,
    maximum: 200,
    default: 10,
    description: 'most connections to each database; one more tells readiness',
  }),
  DATABASE_WAIT_SECONDS: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 60,
    description: 'how long a start waits for databases that do not answer; what waiting cannot change ends it at once',
  }),
  REDIS_URL: url('redis|rediss', 'carries the events; without it they travel through PostgreSQL (`DATABASE_URL`)', secret()),
  ...serviceKeys,
  DATA_DIR: Type.String({ default: '.data', description: 'everything that the embedded mode writes' }),
  SMTP_URL: url('smtp|smtps', 'e-mail provider; without it messages are written to `DATA_DIR`/mail', secret('notification')),
  MAIL_FROM: Type.String({
    default: 'OrderHub <orders@orderhub.example>',
    pattern: '^([^<>\\r\\n]*<[^<>@\\s]+@[^<>@\\s]+>|[^<>@\\s]+@[^<>@\\s]+)$',
    errorMessage: 'must be an address, as in Shop <orders@shop.example>',
    description: 'sender of e-mail; its domain is that of Message-IDs',
  }),
  SMS_URL: url(
    'http|https',
    'SMS provider: `POST` with JSON `{to, from, text}` and `Idempotency-Key`; without it messages are written to `DATA_DIR`/mail',
    secret('notification'),
  ),
  SMS_FROM: Type.String({ default: 'OrderHub', description: 'sender of SMS' }),
  RATE_LIMIT_PER_MINUTE: Type.Integer({
    minimum: 0,
    default: 600,
    description: 'requests of one client at the gateway; 0 turns the limit off',
  }),
  MAIL_LIMIT_PER_HOUR: Type.Integer({
    minimum: 0,
    default: 60,
    description: 'mails about orders that one person can cause to themselves; 0 turns the limit off',
  }),
  SMS_LIMIT_PER_HOUR: Type.Integer({
    minimum: 0,
    default: 20,
    description: 'the same for SMS, also for each phone; 0 turns the limit off',
  }),
  ORDER_PENDING_TTL: Type.Optional(
    Type.String({
      pattern: '^P(?=.)(\\d{1,4}D)?(T(?=\\d)(\\d{1,5}H)?(\\d{1,6}M)?(\\d{1,7}S)?)?$',
      errorMessage: 'must be an ISO 8601 duration of days to seconds, as PT30M or P2D',
      description:
        'how long an order may be pending before it is cancelled and its stock goes back: an ISO 8601 duration, as `PT30M` or `P2D`; without it, for ever',
    }),
  ),
  ORDER_PENDING_LIMIT: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 100,
    description: 'orders of one person that may be pending at once, where they order themselves; 0 turns the limit off',
  }),
  ORDER_QUANTITY_LIMIT: Type.Integer({
    minimum: 0,
    default: 1000,
    description: 'pieces of one product in one order, where a person orders for themselves; 0 turns the limit off',
  }),
  CONNECTIONS_PER_CLIENT: Type.Integer({
    minimum: 0,
    default: 500,
    description:
      'connections that one address (IPv6: its /64) may have open to the gateway; behind a proxy that address is the proxy; 0 turns the limit off',
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    description: 'origins that browsers may call the gateway from: a comma list, or `*`; none by default',
  }),
  REQUEST_TIMEOUT_MS: milliseconds(10_000, "the gateway's limit for one request; services take 80 %, a statement 50 % of it"),
  WRITE_TIMEOUT_MS: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 60_000,
    description: 'how long a client may read nothing of an answer before its connection is cut',
  }),
  WORKERS: Type.Integer({
    minimum: 1,
    maximum: 100,
    default: 10,
    description: 'events that a process takes from each of its queues at once',
  }),
  EVENT_RETRY_HOURS: Type.Integer({
    minimum: 1,
    maximum: 168,
    default: 24,
    description:
      'how long an event that its consumer cannot handle is tried again, with growing pauses, before it is a dead letter',
  }),
  EVENT_RETRY_LONGEST_SECONDS: Type.Integer({
    minimum: 1,
    maximum: 3600,
    default: 300,
    description: 'the longest pause between two tries of an event: so much later than its cause a failure may end',
  }),
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
  AUTH: Type.String({
    default: 'on',
    enum: ['on', 'off'],
    description: '`off` lets everybody do everything: for tutorials and for measuring what it costs; refused in production',
  }),
  AUTH_STALE_SECONDS: Type.Integer({
    minimum: 0,
    maximum: 3600,
    default: 60,
    description: 'how long reads go on with a session known from before while the user service does not answer; 0 turns it off',
  }),
  KEYS_DIR: Type.Optional(
    Type.String({
      description:
        'folder with the keys, made by `node dist/keys.js init DIR`; needed in production, otherwise `DATA_DIR`/keys, made at the first start',
    }),
  ),
  ADMIN_EMAIL: Type.Optional(
    Type.String({ format: 'email', description: 'e-mail address of the first administrator, made where there is none' }),
  ),
  ADMIN_PASSWORD: Type.Optional(
    Type.String({
      minLength: 12,
      maxLength: 128,
      ...secret('user'),
      description: "the first administrator's password; with the embedded database one is made up and shown once",
    }),
  ),
  REGISTRATION: Type.String({
    default: 'open',
    enum: ['open', 'verify', 'off'],
    description: 'whether people may create their own account: `open`, `verify` (usable after a mailed token), `off`',
  }),
  REQUIRE_ADMIN_MFA: Type.Boolean({
    default: false,
    description: 'administrators must enrol a second factor before anything else, and sign in with it',
  }),
  OIDC_ISSUER: url('https|http', 'an OpenID Connect issuer whose access tokens are accepted as well, with `OIDC_AUDIENCE`'),
  OIDC_AUDIENCE: Type.Optional(Type.String({ description: "the audience that the issuer's tokens must name" })),
  OIDC_ROLES_CLAIM: Type.String({ default: 'roles', description: "the claim of the issuer's tokens that holds roles of ours" }),
  OIDC_MFA_VALUES: Type.String({
    default: 'mfa,otp,hwk',
    description:
      "with `REQUIRE_ADMIN_MFA`: values of `acr` or `amr` in the issuer's tokens, with commas between, one of which an administrator's must have",
  }),
  PUBLIC_URL: url(
    'https|http',
    'where people reach `/activate` and `/reset-password`: for links in mails; in development by default http://127.0.0.1 and the port of a gateway in the same process, otherwise mails have the code alone',
  ),
  TLS_CERT_FILE: Type.Optional(
    Type.String({ description: 'certificate for mutual TLS between services (PEM); read again when it changes' }),
  ),
  TLS_KEY_FILE: Type.Optional(Type.String({ description: "the certificate's private key (PEM)" })),
  TLS_CA_FILE: Type.Optional(Type.String({ description: 'authorities whose certificates other services show (PEM)' })),
  SERVICE_ACCOUNT_TOKEN_FILE: Type.Optional(
    Type.String({
      pattern: '\\{service\\}',
      errorMessage: 'must have {service} in it: there is a token for each service that is called',
      description:
        'projected Kubernetes service-account tokens, shown beside the token of the service: a path with `{service}` in it for the one that is called, of audience `orderhub-` and its name; with `SERVICE_ACCOUNT_NAMES`',
    }),
  ),
  SERVICE_ACCOUNT_NAMES: Type.Optional(
    Type.String({
      pattern: accountsPattern,
      errorMessage: `must be a comma list of SERVICE=ACCOUNT or SERVICE=NAMESPACE/ACCOUNT, SERVICE being one of ${serviceNames.join(', ')}`,
      description:
        'the account that each service runs under, by its exact name, in the namespace of this process or another: `gateway=orderhub-gateway,user=shop/orderhub-user`',
    }),
  ),
  SERVICE_ACCOUNT_CA_FILE: Type.String({
    default: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    description: "authorities that vouch for the cluster's issuer, beside the public ones (PEM)",
  }),
  SERVICE_ACCOUNT_API_TOKEN_FILE: Type.String({
    default: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    description: "shown to the cluster's issuer where it gives its keys to nobody without a token",
  }),
  AUDIT_ANCHOR: Type.Optional(
    Type.String({
      description:
        'where checkpoints of the audit trail go outside the database: a folder, or `s3://bucket/prefix?region=NAME&endpoint=URL` with object lock; with the embedded database `DATA_DIR`/audit-anchor',
    }),
  ),
  AWS_ACCESS_KEY_ID: Type.Optional(
    Type.String({ ...secret('audit'), description: 'for an `AUDIT_ANCHOR` in a bucket; without it, web identity' }),
  ),
  AWS_SECRET_ACCESS_KEY: Type.Optional(Type.String({ ...secret('audit'), description: 'its secret' })),
  AWS_SESSION_TOKEN: Type.Optional(Type.String({ ...secret('audit'), description: 'with credentials that end' })),
  AWS_WEB_IDENTITY_TOKEN_FILE: Type.Optional(
    Type.String({
      description: "a token that AWS STS changes into credentials for the bucket, such as a pod's; with `AWS_ROLE_ARN`",
    }),
  ),
  AWS_ROLE_ARN: Type.Optional(Type.String({ description: 'the role that the token is for' })),
  AWS_ENDPOINT_URL_STS: url('https|http', 'where that is changed; by default AWS STS in the region of `AUDIT_ANCHOR`'),
  SEED: Type.Optional(
    Type.Boolean({ description: 'writes the sample data to an empty database; on by default with the embedded database' }),
  ),
})
