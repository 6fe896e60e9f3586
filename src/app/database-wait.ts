import type { Config } from '../config.ts'
import { storingServices } from '../environment.ts'
import { type DatabasePlace, untilUsable, type WaitOptions } from '../platform/db/startup.ts'
import { statementTimeoutOf } from './databases.ts'
import { loadInOrder } from './topology.ts'

const storedIn = (config: Config) =>
  config.selected.flatMap((name) => {
    const url = storingServices.includes(name) ? config.databaseUrlOf(name) : undefined
    return url === undefined ? [] : [{ name, url }]
  })

/** The databases of the selected services, each once; without Redis, one of them also has the queues. */
const placesOf = (config: Config): DatabasePlace[] => {
  const stored = storedIn(config)
  const carrier = stored.length > 0 && !config.redisUrl && config.databaseUrl ? [{ name: 'events', url: config.databaseUrl }] : []
  const byUrl = Map.groupBy([...stored, ...carrier], ({ url }) => url)
  return [...byUrl].map(([url, users]) => ({ url, of: users.map(({ name }) => name) }))
}

/** Like Promise.all, but rejects only when everything has ended. */
const allDone = async (work: readonly Promise<void>[]): Promise<void> => {
  await Promise.allSettled(work)
  await Promise.all(work)
}

/**
 * Resolves when every database of the selected services accepts their logins. The configured wait applies to all of them
 * together. @throws DatabaseStartError
 */
export const databasesAnswer = async (config: Config, onWait: WaitOptions['onWait']): Promise<void> => {
  const options = { waitMs: config.databaseWaitMs, onWait }
  await allDone(placesOf(config).map((place) => untilUsable(place, options)))
}

/** Resolves if each selected service has its role and may read its own schema. @throws DatabaseStartError */
export const databasesOpen = async (config: Config, onWait: WaitOptions['onWait']): Promise<void> => {
  const definitions = await loadInOrder(config.selected)
  const options = { waitMs: config.databaseWaitMs, onWait }
  await allDone(
    storedIn(config).map(({ name, url }) =>
      untilUsable(
        {
          url,
          of: [name],
          role: definitions.get(name)?.databaseRole,
          statementTimeoutMs: statementTimeoutOf(config),
          schemas: [`${name}s`],
        },
        options,
      ),
    ),
  )
}

/** Runs `work`, and ends the process at a signal: nothing has started yet that must be stopped. */
export const stoppable = async (work: Promise<void>): Promise<void> => {
  const ends = { SIGTERM: () => process.exit(143), SIGINT: () => process.exit(130) } as const
  for (const [signal, end] of Object.entries(ends)) process.once(signal, end)
  await work.finally(() => {
    for (const [signal, end] of Object.entries(ends)) process.off(signal, end)
  })
}
