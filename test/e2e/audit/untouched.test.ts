import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { anchorName } from '../../../src/modules/audit/sealing/anchor.ts'
import { amounts } from '../../../testing/amounts.ts'
import { sampleEntry, startAuditDatabase } from '../../../testing/audit.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'

const { untouchedEntries: untouched, heapForThem: heap } = amounts
const atOnce = 5000

t.test(`${untouched} untouched entries: no false alarm, in little memory`, { timeout: 280_000 }, async (t) => {
  const { keys, keysDir, url, entries, seals, sealer } = await startAuditDatabase(t)
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-untouched-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (let n = 0; n < untouched; n += atOnce) {
    await entries.record(Array.from({ length: atOnce }, (_, k) => sampleEntry(keys, n + k)))
  }
  t.equal(await sealer({ everyEntries: atOnce }).seal(), untouched)
  const newest = await seals.newest()
  writeFileSync(join(folder, anchorName(untouched)), newest?.note ?? '')
  const command = fileURLToPath(new URL('../../../src/audit.ts', import.meta.url))
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [`--max-old-space-size=${heap}`, command, 'verify', '--database', url, '--checkpoint', folder, '--keys', keysDir],
    { encoding: 'utf8', env: childEnvironment() },
  )
  t.same({ status, stderr }, { status: 0, stderr: '' })
  t.match(stdout, `fine: ${untouched} entries, ${untouched / atOnce} checkpoints, and the trusted one of size ${untouched}`)
})
