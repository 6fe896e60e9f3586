/**
 * Runs the tests with one PostgreSQL and one folder that all files share. `--full` runs long tests at full size, `--coverage` measures
 * coverage; other arguments are passed to tap: `npm test -- test/unit/config/*.test.ts --jobs=1`.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { compileCache } from '../testing/compile-cache.ts'
import { runVariables, startRun } from '../testing/run.ts'

const given = process.argv.slice(2)
const coverage = given.includes('--coverage')
const rest = given.filter((argument) => argument !== '--full' && argument !== '--coverage')
const program = fileURLToPath(new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url))

const run = await startRun()
const tap = spawn(process.execPath, [program, ...(coverage ? ['--no-disable-coverage'] : []), ...rest], {
  stdio: 'inherit',
  env: {
    ...(coverage ? {} : { NODE_COMPILE_CACHE: compileCache }),
    ...process.env,
    ...(given.includes('--full') ? { TEST_FULL: '1' } : {}),
    // Temporary files of tests are deleted with the run.
    TMPDIR: run.folder,
    [runVariables.folder]: run.folder,
    [runVariables.postgresUrl]: run.postgresUrl,
  },
})
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => tap.kill(signal))
const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
  tap.once('error', reject)
  tap.once('exit', (...status) => resolve(status))
})
await run.end()
process.exitCode = signal ? 128 + constants.signals[signal] : (code ?? 1)
