/**
 * Runs the tests with one PostgreSQL and one folder that all files share. `--full` runs long tests at full size, `--coverage` measures
 * coverage. Arguments select files: `npm test -- "test/unit/config/*.test.ts"`. With an option of tap, such as `--jobs=1`, and
 * for coverage, tap's CLI runs each file in its own process; otherwise a few workers run them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import manifest from '../package.json' with { type: 'json' }
import { compileCache } from '../testing/compile-cache.ts'
import { createReport } from '../testing/report.ts'
import { runVariables, startRun } from '../testing/run.ts'
import { runInWorkers } from '../testing/workers.ts'

const given = process.argv.slice(2)
const coverage = given.includes('--coverage')
const rest = given.filter((argument) => argument !== '--full' && argument !== '--coverage')
const { include, jobs, timeout } = manifest.tap
const ownSignals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

const run = await startRun()
const env = {
  ...(coverage ? {} : { NODE_COMPILE_CACHE: compileCache }),
  ...process.env,
  ...(given.includes('--full') ? { TEST_FULL: '1' } : {}),
  // Temporary files of tests are deleted with the run.
  TMPDIR: run.folder,
  [runVariables.folder]: run.folder,
  [runVariables.postgresUrl]: run.postgresUrl,
}

/** @returns the exit status */
const withTap = async (): Promise<number> => {
  const program = fileURLToPath(new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url))
  const tap = spawn(process.execPath, [program, ...(coverage ? ['--no-disable-coverage'] : []), ...rest], {
    stdio: 'inherit',
    env,
  })
  for (const signal of ownSignals) process.on(signal, () => tap.kill(signal))
  const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(tap, 'exit')) as [number, null]
  return signal ? 128 + constants.signals[signal] : (code ?? 1)
}

/** The longest files first, so that no worker is left with one at the end. */
const rank = (file: string): number =>
  ['test/e2e/process/', 'test/e2e/', 'test/contract/', ''].findIndex((start) => file.startsWith(start))

/** @returns the exit status */
const withWorkers = async (): Promise<number> => {
  const files = globSync(rest.length > 0 ? rest : include).toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  if (files.length === 0) {
    console.error(`no test file matches ${rest.join(' ')}`)
    return 1
  }
  const report = createReport(() => files.length)
  const workers = runInWorkers({ files, jobs, timeout, env, report })
  for (const signal of ownSignals) process.on(signal, () => workers.kill(signal))
  const passed = await workers.passed
  report.end()
  return passed ? 0 : 1
}

process.exitCode = await (coverage || rest.some((argument) => argument.startsWith('-')) ? withTap() : withWorkers())
await run.end()
