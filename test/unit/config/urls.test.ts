import fc from 'fast-check'
import t from 'tap'
import { inspectConfig } from '../../../src/config.ts'

const problemsOf = (env: Record<string, string>) => inspectConfig(env).problems
const databases = ['DATABASE_URL', ...['USER', 'ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => `${name}_DATABASE_URL`)]

t.test('an unknown parameter in a database URL is one error line with its name', async (t) => {
  for (const key of databases) {
    const problems = problemsOf({ [key]: 'postgres://me:hunter2@db:5432/shop?sslmode=require&schema=public' })
    t.equal(problems.length, 1, key)
    t.match(problems[0], new RegExp(`^${key} has the parameter "schema"; a database URL takes sslmode, `))
    t.match(problemsOf({ [key]: 'postgres://db/shop?sslmode=sure' }), [/has a wrong value of sslmode; it is one of disable, /])
  }
  for (const name of ['host', 'options', 'statement_timeout', 'constructor', 'search_path', 'sslcert'])
    t.match(problemsOf({ DATABASE_URL: `postgresql://db/shop?${name}=x` }), [new RegExp(`parameter "${name}"`)], name)
})

t.test('valid URLs are accepted', async (t) => {
  const fine: Record<string, string[]> = {
    DATABASE_URL: [
      'postgres://localhost/x',
      'postgresql://me:p%40ss@db:5432/shop?sslmode=verify-full&application_name=shop',
      'postgres://me:pw@a:5432,b:5433/shop?target_session_attrs=read-write',
      'postgres://[::1]:5432,[fe80::1]:5433/shop?sslmode=require',
      'postgres://[::1]:5432/shop',
      'postgres:///shop',
    ],
    REDIS_URL: ['redis://localhost', 'rediss://:pw@cache:6380/2'],
    SMTP_URL: ['smtp://127.0.0.1:1025', 'smtps://me:p%23w@mail.example:465?pool=true'],
    SMS_URL: ['https://sms.example/send?key=1'],
    PUBLIC_URL: ['https://shop.example', 'https://shop.example/'],
    AUDIT_ANCHOR: ['/var/anchor', '.data/audit-anchor'],
    CORS_ORIGINS: ['*', 'https://shop.example, http://localhost:3000'],
  }
  for (const [key, values] of Object.entries(fine)) for (const value of values) t.same(problemsOf({ [key]: value }), [], value)
})

t.test('an invalid URL is one error line', async (t) => {
  const wrong: Record<string, string[]> = {
    DATABASE_URL: [
      'mysql://me:hunter2@db/x',
      'postgres://me:hunt#er2@db/x',
      'postgres://me:12#hunter2@db/x',
      'postgres://me:100%hunter2@db/x',
      'postgres://db:99999/x',
    ],
    REDIS_URL: ['localhost:6379', 'redis://:hunter2@cache/name', 'redis://:hunter2@cache:port'],
    SMTP_URL: ['http://mail', 'smtp://me:hunter2%@mail', 'smtp://me:hunter2@mail:x'],
    SMS_URL: ['ftp://sms', 'http://:hunter2@'],
    PUBLIC_URL: ['shop.example', 'https://shop.example?x=1', 'https://shop.example/#top'],
    OIDC_ISSUER: ['ldap://me:hunter2@x', 'https://issuer.example?tenant=1'],
    AUDIT_ANCHOR: ['gs://bucket', 's3://bucket?regoin=x', 's3://bucket?endpoint=ftp://x'],
    CORS_ORIGINS: ['https://shop.example/', 'shop.example', 'https://me:hunter2@shop.example'],
    USER_SERVICE_URL: ['me:hunter2@user', 'http://me:hunter2@user', 'postgres://me:hunter2@user'],
    ADMIN_PASSWORD: ['hunter2'],
  }
  const together: Record<string, Record<string, string>> = {
    OIDC_ISSUER: { OIDC_AUDIENCE: 'shop' },
    AUDIT_ANCHOR: { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
    ADMIN_PASSWORD: { ADMIN_EMAIL: 'me@shop.example' },
  }
  for (const [key, values] of Object.entries(wrong)) {
    for (const value of values) {
      const problems = problemsOf({ ...together[key], [key]: value })
      t.equal(problems.length, 1, `${key}=${value}`)
      t.match(problems[0], new RegExp(`^${key}\\b[^\\n]+$`))
      t.notMatch(problems[0], /hunter2|hunt#er2/, 'no password is printed')
    }
  }
})

t.test('no URL makes the check throw, and no message contains its password', async () => {
  const password = fc.stringMatching(/^[a-zA-Z0-9#%?/:@,&=+ ]{0,20}$/).map((text) => `QXZ${text}QXZ`)
  const keys = fc.constantFrom(
    'DATABASE_URL',
    'REDIS_URL',
    'SMTP_URL',
    'SMS_URL',
    'PUBLIC_URL',
    'USER_SERVICE_URL',
    'CORS_ORIGINS',
    'AUDIT_ANCHOR',
  )
  const schemes = fc.constantFrom('postgres', 'redis', 'smtp', 'https', 's3', 'x')
  fc.assert(
    fc.property(keys, schemes, password, fc.constantFrom('', '?a=b', '/db', '?sslmode=no'), (key, scheme, secret, rest) => {
      const problems = problemsOf({ [key]: `${scheme}://me:${secret}@host:1${rest}` })
      return problems.every((line) => line.startsWith(key) && !line.includes('\n') && !line.includes('QXZ'))
    }),
    // With an unescaped @, the rest of the password becomes a parameter.
    {
      numRuns: 1000,
      examples: ['QXZ@0?QXZ', 'QXZ@0?QXZ=QXZ', 'QXZ,QXZ'].flatMap((secret) => [
        ['DATABASE_URL', 'postgres', secret, ''],
        ['AUDIT_ANCHOR', 's3', secret, ''],
        ['CORS_ORIGINS', 'https', secret, ''],
      ]) as [string, string, string, string][],
    },
  )
})
