import t from 'tap'
import { backoffAfter, retryFor } from '../../../../src/platform/concurrency/retry.ts'

t.test('the pauses between all attempts add up to the configured hours', async (t) => {
  for (const [hours, longest] of [
    [1, 1],
    [1, 300],
    [24, 300],
    [168, 3600],
  ] as const) {
    const policy = retryFor(hours, longest)
    let full = 0
    for (let attempt = 1; attempt < policy.attempts; attempt++) full += backoffAfter(attempt, policy)
    const average = (0.75 * full) / 3_600_000
    t.ok(
      average >= hours && average <= hours + longest / 3600,
      `${hours} h, ${longest} s: ${policy.attempts} tries, ${average} h`,
    )
  }
})

t.test('pauses double, up to the maximum', async (t) => {
  const pauses = { backoffMs: 500, longestBackoffMs: 3000 }
  t.same(
    [1, 2, 3, 4, 5, 5000].map((attempt) => backoffAfter(attempt, pauses)),
    [500, 1000, 2000, 3000, 3000, 3000],
  )
})
