import { randomInt } from 'node:crypto'
import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { runChaos } from '../../chaos/chaos.ts'

t.setTimeout(180_000)

t.test(
  'processes are killed: every order is placed once, and all its messages are delivered',
  { timeout: 175_000 },
  async (t) => {
    const seed = randomInt(2 ** 31)
    const report = await runChaos({ seconds: amounts.chaosSeconds, seed, say: (line) => t.comment(line) })
    t.comment(JSON.stringify({ seed, ...report }))
    t.same(report.violations, [], `seed ${seed}`)
    t.ok(report.orders > 10, 'orders were placed')
    t.ok(Object.keys(report.kills).length > 1)
  },
)
