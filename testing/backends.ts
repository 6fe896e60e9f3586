import type { Test } from 'tap'
import { hasRedis, startRedis } from './redis.ts'

/** Runs a test on each queue backend: PostgreSQL, and Redis if redis-server is installed. `env` selects it. */
export const onEachBackend = async (
  t: Test,
  name: string,
  run: (t: Test, env: Record<string, string>) => Promise<void>,
): Promise<void> => {
  const options = { timeout: 120_000 }
  const tests = [t.test(`${name}: events on PostgreSQL`, options, (t) => run(t, {}))]
  if (hasRedis()) {
    const onRedis = async (t: Test) => {
      const redis = await startRedis()
      t.teardown(() => redis.stop())
      await run(t, { REDIS_URL: redis.url })
    }
    tests.push(t.test(`${name}: events on Redis`, options, onRedis))
  } else t.comment(`skipped, redis-server is not installed: ${name}: events on Redis`)
  await Promise.all(tests)
}
