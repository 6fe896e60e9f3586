import type { Logger } from 'pino'
import type { EntryRepository } from './repository.ts'

export interface MaintenanceOptions {
  readonly repository: Pick<EntryRepository, 'makePartitions' | 'hasExcessRights'>
  readonly log: Logger
  readonly production: boolean
}

const dayMs = 86_400_000

/** Keeps months to come in partitions of their own. An entry for which there is none goes to the default partition. */
export const createMaintenance = ({ repository, log, production }: MaintenanceOptions) => {
  const makePartitions = () =>
    repository
      .makePartitions()
      .catch((error) => log.warn({ err: error }, 'the partitions of the coming months were not made; it is tried again'))
  const checkRights = async () => {
    if (await repository.hasExcessRights())
      log.warn(
        'the audit database is reached by a login that could change the trail; statements run as orderhub_audit: give the service a login that is a member of that role alone',
      )
  }
  let timer: NodeJS.Timeout | undefined
  return {
    start: (): void => {
      timer ??= setInterval(makePartitions, dayMs).unref()
      void makePartitions()
      if (production) checkRights().catch((error) => log.warn({ err: error }, 'the rights of the audit login are not known'))
    },
    close: (): void => clearInterval(timer),
  }
}
