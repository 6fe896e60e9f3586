import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What the tests of one run share. It goes when the process that started it ends in any way, SIGKILL included. */
export interface Run {
  /** For files of the whole run, and the mark of its processes: they have it in their environment. */
  readonly folder: string
  /** Of a PostgreSQL's first database, as its superuser. */
  readonly postgresUrl: string
  /** Ends what is left of the run: processes, the server, the folder. */
  end(): Promise<void>
}

/** What the guard process sends once; see run-guard.ts. */
export type GuardMessage = { readonly folder: string; readonly postgresUrl: string } | { readonly reason: string }

/** The variables that hand a run on to the processes of its tests. */
export const runVariables = { folder: 'TEST_RUN', postgresUrl: 'TEST_POSTGRES_URL' } as const

const endOf = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('exit', () => resolve()))

/** Starts a run: a folder and a PostgreSQL. */
export const startRun = async (): Promise<Run> => {
  const { [runVariables.folder]: _outer, ...env } = process.env
  const guard = fork(fileURLToPath(new URL('./run-guard.ts', import.meta.url)), {
    env,
    execArgv: [],
    detached: true, // Not in the terminal's process group: Ctrl-C ends the tests, and the guard cleans up after them.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = endOf(guard)
  const message = await new Promise<GuardMessage>((resolve) => {
    guard.once('message', (value) => resolve(value as GuardMessage))
    void ended.then(() => resolve({ reason: 'its guard ended at once' }))
  })
  if ('reason' in message) throw new Error(`the run did not start: ${message.reason}`)
  guard.unref()
  guard.channel?.unref()
  return {
    ...message,
    end: async () => {
      guard.ref()
      if (guard.connected) guard.disconnect()
      await ended
    },
  }
}

let own: Promise<Run> | undefined

/** The run that this process belongs to; one of its own where nobody has started one, which ends with the process. */
export const currentRun = async (): Promise<Pick<Run, 'folder' | 'postgresUrl'>> => {
  const { [runVariables.folder]: folder, [runVariables.postgresUrl]: postgresUrl } = process.env
  if (folder && postgresUrl) return { folder, postgresUrl }
  own ??= startRun()
  const run = await own
  process.env[runVariables.folder] = run.folder
  return run
}
