/** Owns the resources of a test run, and removes them when the process that started the run ends; see run.ts. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endProcesses } from './marked-processes.ts'
import { startOwnPostgres } from './postgres.ts'
import { type GuardMessage, runVariables } from './run.ts'

const ended = new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
const folder = await mkdtemp(join(tmpdir(), 'orderhub-run-'))
// If we are root, PostgreSQL runs as another account, which must be able to enter the folder.
await chmod(folder, 0o755)
process.env.TMPDIR = folder
const send = (message: GuardMessage) =>
  new Promise<void>((resolve) => (process.connected ? process.send?.(message, () => resolve()) : resolve()))
try {
  const server = await startOwnPostgres()
  await send({ folder, postgresUrl: server.url })
  await ended
  await endProcesses(`${runVariables.folder}=${folder}`)
  await server.stop()
} catch (error) {
  await send({ reason: error instanceof Error ? error.message : String(error) })
} finally {
  await rm(folder, { recursive: true, force: true })
}
process.exit()
