import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../src/platform/db/embedded-postgres.ts'

export interface TestPostgres {
  /** The URL of its first database. */
  readonly url: string
  /** Creates an empty database and gives its URL. */
  createDatabase(name: string): Promise<string>
  stop(): Promise<void>
}

/** Starts a real PostgreSQL of its own on a free port; `stop` removes its files. */
export const startPostgres = async (): Promise<TestPostgres> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-postgres-'))
  // As root the server runs as another account, which has to be able to enter the folder.
  await chmod(folder, 0o755)
  const server = await startEmbeddedPostgres(folder, ['-c', 'fsync=off', '-c', 'max_connections=300'])
  return {
    url: server.url,
    createDatabase: async (name) => {
      const client = postgres(server.url, { max: 1 })
      await client`create database ${client(`test_${name}`)}`
      await client.end()
      const url = new URL(server.url)
      url.pathname = `/test_${name}`
      return url.href
    },
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
      await rm(dirname(server.directory), { recursive: true, force: true })
    },
  }
}
