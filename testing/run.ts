import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Shared resources of a test run. They are removed when the process that started the run ends, even by SIGKILL. */
export interface Run {
  /** A folder for files of the run. Processes of the run have its path in their environment. */
  readonly folder: string
  /** URL of the first database of its PostgreSQL, with its superuser. */
  readonly postgresUrl: string
  /** Ends remaining processes, stops the server and removes the folder. */
  end(): Promise<void>
}

/** The single message of the guard process; see run-guard.ts. */
export type GuardMessage = { readonly folder: string; readonly postgresUrl: string } | { readonly reason: string }

/** The environment variables that pass a run to the processes of its tests. */
export const runVariables = { folder: 'TEST_RUN', postgresUrl: 'TEST_POSTGRES_URL' } as const

const endOf = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('exit', () => resolve()))

/** Starts a test run: creates its folder and starts its PostgreSQL. */
export const startRun = async (): Promise<Run> => {
  const { [runVariables.folder]: _outer, ...env } = process.env
  const guard = fork(fileURLToPath(new URL('./run-guard.ts', import.meta.url)), {
    env,
    execArgv: [],
    detached: true, // Not in the terminal's process group: Ctrl-C ends the tests, and then the guard cleans up.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = endOf(guard)
  const message = await new Promise<GuardMessage>((resolve) => {
    guard.once('message', (value) => resolve(value as GuardMessage))
    void ended.then(() => resolve({ reason: 'the guard process ended immediately' }))
  })
  if ('reason' in message) throw new Error(`the test run did not start: ${message.reason}`)
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

/** The run of this process. Without one, starts a run that ends with the process. */
export const currentRun = async (): Promise<Pick<Run, 'folder' | 'postgresUrl'>> => {
  const { [runVariables.folder]: folder, [runVariables.postgresUrl]: postgresUrl } = process.env
  if (folder && postgresUrl) return { folder, postgresUrl }
  own ??= startRun()
  const run = await own
  process.env[runVariables.folder] = run.folder
  return run
}
