import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { runChaos } from './chaos.ts'

// npm run chaos -- --seconds 60 --seed 1
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } } })
const seconds = Number(values.seconds)
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
if (!(seconds > 0 && seconds <= 3600) || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run chaos -- [--seconds 1..3600] [--seed integer]')
  process.exit(2)
}
console.log(`chaos for ${seconds} s, --seed ${seed}`)
const { violations, kills, duplicates, ...report } = await runChaos({ seconds, seed, say: (line) => console.log(`  ${line}`) })
console.log(`orders              ${report.orders} (${report.refused} refused, ${report.retries} retries)`)
console.log(
  `kills               ${Object.entries(kills)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}`,
)
console.log(
  `Redis flushed       ${report.redisFlushed ? 'once' : 'skipped: redis-server is not installed, events use PostgreSQL'}`,
)
console.log(`duplicates          e-mail ${duplicates.email}, SMS ${duplicates.sms}, each with the key of its first copy`)
console.log(`last delivery       ${report.tailSeconds} s after the last kill`)
console.log(violations.length === 0 ? 'violations          none' : `VIOLATIONS          ${violations.length}`)
for (const violation of violations.slice(0, 50)) console.log(`  ${violation}`)
process.exit(violations.length === 0 ? 0 : 1)
