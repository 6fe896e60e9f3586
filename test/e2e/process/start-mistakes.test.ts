import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { runToEnd } from '../../../testing/service.ts'

t.setTimeout(180_000)
const folder = mkdtempSync(join(tmpdir(), 'orderhub-mistakes-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const linesOf = (output: string) => output.trimEnd().split('\n')

t.test('in production, mistakes in configuration, keys and databases are reported together', async (t) => {
  const bare = await runToEnd('all', { NODE_ENV: 'production' })
  t.equal(bare.status, 78)
  t.match(linesOf(bare.output), [/^KEYS_DIR is missing/, /^DATABASE_URL is missing/])

  const env = { NODE_ENV: 'production', KEYS_DIR: folder, LOG_LEVEL: 'loud', SMTP_URL: 'smtp://me:hunter2@x:y' }
  const { status, output } = await runToEnd('order', env)
  t.equal(status, 78)
  t.notMatch(output, /hunter2/)
  const lines = linesOf(output)
  const expected = [
    /^LOG_LEVEL /,
    /^SMTP_URL is not a URL/,
    /^USER_SERVICE_URL is missing/,
    /^PRODUCT_SERVICE_URL is missing/,
    /^DATABASE_URL is missing \(or ORDER_DATABASE_URL\)$/,
    /public\.json is missing/,
    /service-order\.private\.json is missing/,
    /audit-entry-order\.private\.json is missing/,
  ]
  for (const line of expected) t.equal(lines.filter((one) => line.test(one)).length, 1, String(line))
  t.equal(lines.length, expected.length, output)
})

t.test('a missing event transport is reported before anything is opened', async (t) => {
  const urls = { USER_SERVICE_URL: 'http://127.0.0.1:1', PRODUCT_SERVICE_URL: 'http://127.0.0.1:1' }
  const { status, output } = await runToEnd('order', {
    ...urls,
    DATA_DIR: folder,
    ORDER_DATABASE_URL: 'postgres://127.0.0.1:1/x',
  })
  t.equal(status, 78)
  t.match(linesOf(output), [/^REDIS_URL is missing/])
})
