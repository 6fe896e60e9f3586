import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { secretKeys } from '../../../src/config/secret-files.ts'
import { inspectConfig } from '../../../src/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'orderhub-secrets-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const fileOf = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const values: Readonly<Record<string, string>> = {
  DATABASE_URL: 'postgres://a:b@c/d',
  REDIS_URL: 'redis://a:b@c',
  SMTP_URL: 'smtp://a:b@c',
  SMS_URL: 'https://a:b@c',
  ADMIN_PASSWORD: 'a quiet harbour 7',
  AWS_ACCESS_KEY_ID: 'id',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_SESSION_TOKEN: 'token',
  ...Object.fromEntries(
    ['USER', 'ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_DATABASE_URL`, `postgres://${name}:b@c/d`]),
  ),
}

t.test('each secret key can be read from a file', (t) => {
  t.same([...secretKeys].sort(), Object.keys(values).sort(), 'the list of secret keys')
  const admin = { ADMIN_EMAIL: 'admin@example.com' }
  const files = Object.fromEntries(Object.entries(values).map(([key, value]) => [`${key}_FILE`, fileOf(key, `${value}\n`)]))
  const fromFiles = inspectConfig({ ...files, ...admin })
  const plain = inspectConfig({ ...values, ...admin })
  t.same(fromFiles.problems, [])
  const shown = ({ config }: typeof plain) => ({
    ...JSON.parse(JSON.stringify(config)),
    databases: config.selected.map((name) => config.databaseUrlOf(name)),
  })
  t.same(shown(fromFiles), shown(plain))
  t.equal(fromFiles.config.admin?.password, values.ADMIN_PASSWORD)
  t.end()
})

t.test('each mistake is one line without secrets', (t) => {
  const problemsOf = (env: Record<string, string>) => inspectConfig(env).problems
  const file = fileOf('url', 'postgres://a:hidden@c/d')
  t.same(problemsOf({ DATABASE_URL: 'postgres://a:hidden@c/d', DATABASE_URL_FILE: file }), [
    'DATABASE_URL and DATABASE_URL_FILE are both given: leave one out',
  ])
  t.same(problemsOf({ DATABASE_URL_FILE: join(folder, 'none') }), [
    `DATABASE_URL_FILE: ${join(folder, 'none')} cannot be read (ENOENT)`,
  ])
  t.same(problemsOf({ REDIS_URL_FILE: folder }), [`REDIS_URL_FILE: ${folder} cannot be read (EISDIR)`])
  t.same(problemsOf({ SMTP_URL_FILE: fileOf('empty', '\n') }), [`SMTP_URL_FILE: ${join(folder, 'empty')} is empty`])
  t.same(problemsOf({ REDIS_URL_FILE: fileOf('wrong', 'http://hidden') }), ['REDIS_URL must begin with redis:// or rediss://'])
  t.same(problemsOf({ LOG_LEVEL_FILE: file }), ['LOG_LEVEL_FILE is not a key of the configuration'])
  t.same(problemsOf({ DATABASE_URL_FILE: '' }), [], 'an empty value counts as unset')
  t.end()
})
