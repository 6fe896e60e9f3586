import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { main } from '../../../src/commands/audit.ts'
import { anchorName } from '../../../src/modules/audit/sealing/anchor.ts'
import { openCheckpoint } from '../../../src/modules/audit/sealing/checkpoint.ts'
import { createTrailRepository } from '../../../src/modules/audit/verification/repository.ts'
import { snapshotTrail, writeSnapshot } from '../../../src/modules/audit/verification/snapshot.ts'
import { verifyTrail } from '../../../src/modules/audit/verification/verify.ts'
import { sampleEntry, startAuditDatabase } from '../../../testing/audit.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { runMain } from '../../../testing/run-main.ts'

const size = 1500
const atOnce = 500

const command = fileURLToPath(new URL('../../../src/audit.ts', import.meta.url))
/** Runs the command as an operator does. */
const auditProcess = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
    encoding: 'utf8',
    env: childEnvironment(),
  })
  return { status, stdout, stderr }
}

/** The same in this process. */
const audit = (t: Test, ...args: string[]) => runMain(t, () => main(args))

t.test('audit.js verify', { timeout: 170_000 }, async (t) => {
  const { sql, db, keys, keysDir, url, entries, seals, sealer } = await startAuditDatabase(t)
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-verify-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const snapshot = join(folder, 'snapshot.jsonl')

  await t.test('an unchanged trail, in its database and as a snapshot: exit status 0', async (t) => {
    for (let n = 0; n < size; n += atOnce) {
      await entries.record(Array.from({ length: atOnce }, (_, k) => sampleEntry(keys, n + k)))
    }
    t.equal(await sealer({ everyEntries: atOnce }).seal(), size)
    const newest = await seals.newest()
    if (!newest) throw new Error('there is no checkpoint')
    writeFileSync(join(folder, anchorName(10)), 'older: never read')
    writeFileSync(join(folder, anchorName(newest.size)), newest.note)
    const { status, stdout, stderr } = auditProcess('verify', '--database', url, '--checkpoint', folder, '--keys', keysDir)
    t.same({ status, stderr }, { status: 0, stderr: '' })
    t.match(stdout, `fine: ${size} entries, ${size / atOnce} checkpoints, and the trusted one of size ${size}`)

    const file = await open(snapshot, 'w')
    for await (const lines of writeSnapshot(newest, createTrailRepository(db).leaves(newest.size))) await file.write(lines)
    await file.close()
    const again = await audit(t, 'verify', '--snapshot', snapshot, '--checkpoint', folder, '--keys', join(keysDir, 'public.json'))
    t.same(again, {
      status: 0,
      stdout: `fine: ${size} entries, 1 checkpoints, and the trusted one of size ${size}\n`,
      stderr: '',
    })
  })

  const note = join(folder, anchorName(size))

  await t.test('a changed database: the first bad entry is named, exit status 1', async (t) => {
    await sql`alter table audits.entries disable trigger all`
    await sql`update audits.entries set action = 'order.cancelled' where id in (31, 777)`
    const changed = auditProcess('verify', '--database', url, '--checkpoint', note, '--keys', keysDir)
    t.same([changed.status, changed.stdout], [1, ''])
    t.match(changed.stderr, /^bad: entry 31 \(index 30\) does not match the signature of the service "user"\n$/)
  })

  await t.test('a changed snapshot', async (t) => {
    const trusted = openCheckpoint(keys, readFileSync(note, 'utf8'))
    if (!trusted) throw new Error('the checkpoint is not signed')
    const verifyFile = async (file: string) => verifyTrail({ trail: await snapshotTrail(file), trusted, keys })
    t.match(await verifyFile(snapshot), { size })
    const lines = readFileSync(snapshot, 'utf8').split('\n').slice(0, 40)
    const last = readFileSync(note, 'utf8')
    const end = JSON.stringify({ checkpoint: last })
    const [header = '', ...rows] = lines
    const entry = rows[9] as string
    const changes: Record<string, [string[], RegExp]> = {
      'a changed entry': [[header, ...rows.with(9, entry.replace('"order"', '"user"')), end], /entry 10 \(index 9\)/],
      'a missing entry': [[header, ...rows.toSpliced(9, 1), end], /index 9 is missing/],
      'a repeated entry': [[header, ...rows.toSpliced(9, 0, entry), end], /index 10 is missing/],
      'a cut end': [[header, ...rows], /the last line is not a checkpoint/],
      'a cut middle': [[header, ...rows, end], /from index 39 to 1499 are missing/],
      'an additional member': [[header, ...rows.with(9, entry.replace('"decision"', '"note":1,"decision"')), end], /line 11/],
      'no header': [[...rows, end], /line 1 is not the header/],
      'another size in the header': [[header.replace('1500', '39'), ...rows, end], /the header and the checkpoint differ/],
      'invalid JSON': [[header, ...rows.with(9, 'x'), end], /line 11 is not a JSON object/],
      'another checkpoint': [[header, ...rows, end.replace('1500', '1501')], /the header and the checkpoint differ/],
    }
    for (const [what, [changed, message]] of Object.entries(changes)) {
      const file = join(folder, 'changed.jsonl')
      writeFileSync(file, `${changed.join('\n')}\n`)
      await t.rejects(verifyFile(file), { name: 'TamperError', message }, what)
    }
    writeFileSync(join(folder, 'forged.txt'), last.replace('\n1500\n', '\n1499\n'))
    const forged = await audit(t, 'verify', '--snapshot', snapshot, '--checkpoint', join(folder, 'forged.txt'), '--keys', keysDir)
    t.match(forged, { status: 1, stderr: /is not a checkpoint signed by this log/ })
  })

  await t.test('wrong arguments print the usage; a missing file is not reported as tampering', async (t) => {
    t.match(await audit(t, '--help'), { status: 0, stdout: /^usage: node dist\/audit.js verify/, stderr: '' })
    const wrong: string[][] = [
      ['seal'],
      ['verify', '--snapshot', snapshot, '--database', url, '--checkpoint', note, '--keys', keysDir],
      ['verify', '--snapshot', snapshot, '--keys', keysDir],
      ['verify', '--snapshot', snapshot, '--checkpoint', note, '--keys', keysDir, '--unknown'],
      ['verify', '--snapshot', snapshot, '--checkpoint', note, '--keys', note],
    ]
    for (const args of wrong) t.match(await audit(t, ...args), { status: 64, stdout: '' }, args.join(' '))
    t.match(await audit(t), { stderr: /usage:/ })
    const given = ['--checkpoint', note, '--keys', keysDir]
    t.match(await audit(t, 'verify', '--snapshot', join(folder, 'none'), ...given), { status: 66, stderr: /no such file/ })
    t.match(await audit(t, 'verify', '--snapshot', snapshot, '--checkpoint', keysDir, '--keys', keysDir), {
      status: 66,
      stderr: /no checkpoint/,
    })
    t.match(await audit(t, 'verify', '--database', 'postgres://nobody@127.0.0.1:1/none', ...given), { status: 69 })
  })
})
