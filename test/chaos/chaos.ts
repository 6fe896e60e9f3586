import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { call } from '../../testing/app.ts'
import { startProviders } from '../../testing/providers.ts'
import { createRandom } from '../../testing/random.ts'
import type { ServiceProcess } from '../../testing/service.ts'
import { startSystem } from '../../testing/system.ts'
import { audit } from './audit.ts'
import { startBuyers } from './buyers.ts'

export interface ChaosOptions {
  /** How long to keep killing processes. */
  readonly seconds: number
  readonly seed: number
  readonly say: (line: string) => void
}

export interface ChaosReport {
  readonly orders: number
  readonly refused: number
  readonly retries: number
  readonly kills: Readonly<Record<string, number>>
  /** Additional copies of a message that the providers accepted, with the same key. */
  readonly duplicates: { readonly email: number; readonly sms: number }
  /** From the last kill to the last message that was not a duplicate. */
  readonly tailSeconds: number
  readonly redisFlushed: boolean
  readonly violations: readonly string[]
}

const killEveryMs = 2000
const buyerCount = 8
/** A killed worker's job is free after 15 s and its claimed message after 20 s; attempts that fail meanwhile wait longer. */
const tailMs = 90_000

/** Places orders in separate services, kills their processes at random, and compares all records at the end. */
export const runChaos = async ({ seconds, seed, say }: ChaosOptions): Promise<ChaosReport> => {
  const random = createRandom(seed)
  const providers = await startProviders()
  const system = await startSystem({ env: { ...providers.env, LOG_LEVEL: 'error' } })
  try {
    const stock = new Map<number, number>()
    for (const [n, available] of [100_000, 100_000, 150].entries()) {
      const { body } = await call(`${system.url}/api/v1/products`, 'POST', {
        sku: `CHAOS-${n}`,
        name: `Chaos ${n}`,
        price: 10 + n,
      })
      await call(`${system.url}/api/v1/inventory/${body.data.id}`, 'PUT', { available })
      stock.set(body.data.id, available)
    }
    const buyers = startBuyers({
      url: system.url,
      count: buyerCount,
      userIds: [1, 2, 3],
      productIds: [...stock.keys()],
      random: createRandom(seed + 1),
    })

    const kills: Record<string, number> = {}
    const restarts = new Map<ServiceProcess, Promise<void>>()
    const kill = async (victim: ServiceProcess) => {
      await victim.kill()
      await restarts.get(victim)?.catch(() => {})
      kills[victim.name] = (kills[victim.name] ?? 0) + 1
      restarts.set(victim, victim.restart())
    }
    const rounds = Math.max(1, Math.floor((seconds * 1000) / killEveryMs))
    const flushAt = Math.floor(rounds / 2)
    for (let round = 0; round < rounds; round++) {
      await wait(killEveryMs)
      const victim = random.pick(system.processes)
      say(`${(round * killEveryMs + killEveryMs) / 1000} s: kill ${victim.name}`)
      await kill(victim)
      if (round === flushAt && system.redis) {
        const redis = new Redis(system.redis.url)
        await redis.flushall()
        redis.disconnect()
        say('Redis is flushed')
      }
    }
    const lastKill = Date.now()
    await Promise.all(
      system.processes.map(async (service) => {
        await restarts.get(service)?.catch(() => {})
        if (!service.alive()) await service.restart()
      }),
    )
    const attempted = await buyers.stop()
    say('the buyers have their responses; waiting for the last messages')
    const { violations, orders, refused } = await audit({ system, providers, attempted, stock, tailMs })
    const lastNew = Math.max(providers.email.lastNewAt(), providers.sms.lastNewAt())
    return {
      orders,
      refused,
      retries: attempted.reduce((sum, { tries }) => sum + tries - 1, 0),
      kills,
      duplicates: { email: providers.email.duplicates(), sms: providers.sms.duplicates() },
      tailSeconds: Math.max(0, Math.round((lastNew - lastKill) / 100) / 10),
      redisFlushed: system.redis !== undefined,
      violations,
    }
  } finally {
    await system.stop()
    await providers.stop()
  }
}
