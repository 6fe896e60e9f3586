import type { Logger } from 'pino'
import type { EntryRepository } from './repository.ts'

export interface MaintenanceOptions {
  readonly repository: Pick<EntryRepository, 'makePartitions' | 'hasExcessRights'>
  readonly log: Logger
  readonly production: boolean
}

const dayMs = 86_400_000

/** Creates the partitions of the coming months. Without one, an entry goes to the default partition. */
export const createMaintenance = ({ repository, log, production }: MaintenanceOptions) => {
  const makePartitions = () =>
    repository
      .makePartitions()
      .catch((error) => log.warn({ err: error }, 'creating partitions for the coming months failed; will retry'))
  const checkRights = async () => {
    if (await repository.hasExcessRights())
      log.warn(
        'the audit database login could change the audit trail; statements run as orderhub_audit: use a login that is only a member of that role',
      )
  }
  let timer: NodeJS.Timeout | undefined
  return {
    start: (): void => {
      timer ??= setInterval(makePartitions, dayMs).unref()
      void makePartitions()
      if (production) checkRights().catch((error) => log.warn({ err: error }, 'cannot check the rights of the audit login'))
    },
    close: (): void => clearInterval(timer),
  }
}
