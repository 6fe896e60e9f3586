import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames } from '../src/environment.ts'
import { initKeys } from '../src/platform/keys/key-files.ts'
import { freePort } from './port.ts'
import { startPostgres } from './postgres.ts'
import { hasRedis, startRedis, type TestRedis } from './redis.ts'
import { type ServiceProcess, startService } from './service.ts'

const modules = ['user', 'product', 'order', 'notification', 'audit'] as const
const names = [...modules, 'gateway'] as const
export type SystemService = (typeof names)[number]

export interface SystemOptions {
  /** Number of processes of each service; by default 1. */
  readonly instances?: Partial<Record<SystemService, number>>
  /** Environment of every service. */
  readonly env?: Record<string, string>
  /** Additional environment of one service. */
  readonly own?: Partial<Record<SystemService, Record<string, string>>>
}

export interface System {
  /** URL of the first gateway. */
  readonly url: string
  readonly services: Readonly<Record<SystemService, readonly ServiceProcess[]>>
  readonly processes: readonly ServiceProcess[]
  /** Undefined if redis-server is not installed: events then use PostgreSQL. */
  readonly redis: TestRedis | undefined
  readonly keysDir: string
  databaseUrl(module: (typeof modules)[number]): string
  stop(): Promise<void>
}

/** OrderHub as real processes with sample data: a database for each module, one Redis, gateways in front. */
export const startSystem = async ({ instances = {}, env = {}, own: particular = {} }: SystemOptions = {}): Promise<System> => {
  const postgres = await startPostgres()
  const redis = hasRedis() ? await startRedis() : undefined
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-system-'))
  const keysDir = join(folder, 'keys')
  await initKeys(keysDir, serviceNames)
  const services: ServiceProcess[] = []
  const stop = async () => {
    await Promise.all(services.map((service) => service.kill()))
    await redis?.stop()
    await postgres.stop()
    await rm(folder, { recursive: true, force: true })
  }

  try {
    const databases: Record<string, string> = {}
    for (const module of modules) {
      databases[`${module.toUpperCase()}_DATABASE_URL`] = await postgres.createDatabase(`own_${module}`, [module])
    }
    const transport: Record<string, string> = redis
      ? { REDIS_URL: redis.url }
      : { DATABASE_URL: await postgres.createDatabase('events') }
    const places = new Map<SystemService, number[]>()
    for (const name of names) places.set(name, await Promise.all(Array.from({ length: instances[name] ?? 1 }, freePort)))
    const urls = Object.fromEntries(
      modules.map((module) => [
        `${module.toUpperCase()}_SERVICE_URL`,
        places
          .get(module)
          ?.map((port) => `http://127.0.0.1:${port}`)
          .join(','),
      ]),
    )
    const started = await Promise.all(
      names.map(async (name) => {
        const own: ServiceProcess[] = []
        const { [`${name.toUpperCase()}_SERVICE_URL`]: _self, ...others } = urls
        for (const port of places.get(name) ?? []) {
          const environment = {
            ...databases,
            ...transport,
            ...others,
            SEED: 'true',
            AUTH: 'off',
            KEYS_DIR: keysDir,
            DATA_DIR: folder,
            ...env,
            ...particular[name],
            PORT: String(port),
          }
          const service = await startService(name, environment as Record<string, string>)
          services.push(service)
          own.push(service)
        }
        return [name, own] as const
      }),
    )
    const byName = Object.fromEntries(started) as Record<SystemService, ServiceProcess[]>
    return {
      url: byName.gateway[0]?.url as string,
      services: byName,
      processes: names.flatMap((name) => byName[name]),
      redis,
      keysDir,
      databaseUrl: (module) => databases[`${module.toUpperCase()}_DATABASE_URL`] as string,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
