import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { directoryIn, isRefused, needsRoot, ordinary, passwordIn, signIn, survives } from '../../../testing/data-folder.ts'
import { dataFolder, startPlatform } from '../../../testing/start.ts'

t.setTimeout(600_000)

t.test(
  'root, a private folder: after DATA_DIR is deleted, a start is new and names the old database',
  { skip: needsRoot },
  async (t) => {
    const dataDir = dataFolder(t, 0o700)
    const env = { DATA_DIR: dataDir }
    const first = startPlatform(t, { env })
    await first.ready()
    await first.stop()
    const left = directoryIn(first.output())
    t.notOk(left.startsWith(tmpdir()), 'not in the temporary folder')
    t.equal(readFileSync(join(dataDir, 'postgres.location'), 'utf8').trim(), left)

    await rm(dataDir, { recursive: true })
    const second = startPlatform(t, { env })
    const { status } = await signIn(await second.ready(), passwordIn(second.output()))
    t.equal(status, 200, 'a new administrator')
    t.match(second.output(), `not used, its keys were deleted with ${dataDir}: ${left}`)
    t.match(second.output(), `rm -rf ${dirname(left)}`)
    t.ok(existsSync(join(left, 'PG_VERSION')), 'the old database is not deleted')
    await second.stop()

    await rm(dirname(directoryIn(second.output())), { recursive: true })
    const third = startPlatform(t, { env })
    t.equal(await third.ended(), 1)
    t.match(third.output(), /^the embedded PostgreSQL did not start: the database of \S+ is missing: [^\n]+\n$/)
  },
)

t.test('root under umask 077', { skip: needsRoot }, async (t) => {
  const dataDir = dataFolder(t, 0o755)
  mkdirSync(dataDir, { mode: 0o700 })
  await survives(t, { env: { DATA_DIR: dataDir } })

  await t.test('a folder of root is reported on one line to another account', (t) =>
    isRefused(t, dataDir, ordinary as number, 'root'),
  )
})
