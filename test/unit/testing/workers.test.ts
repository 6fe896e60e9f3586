import t from 'tap'
import { childEnvironment } from '../../../testing/child-environment.ts'
import type { FileResult } from '../../../testing/report.ts'
import { runInWorkers, type WorkersOptions } from '../../../testing/workers.ts'

t.setTimeout(120_000)

const files = {
  'passes.js': `
    import t from 'tap'
    globalThis.loads = (globalThis.loads ?? 0) + 1
    t.test('a group', async (t) => {
      t.pass('one')
      t.test('nested', async (t) => t.equal(globalThis.loads, 1))
    })
    t.test('left out', { skip: 'skipped: for a reason' }, async () => {})`,
  'has-no-assertion.js': `import t from 'tap'\nt.test('empty', async () => {})`,
  'fails.js': `
    import t from 'tap'
    console.error('a line on standard error')
    t.test('a group', async (t) => {
      t.pass('one')
      t.equal(1, 2, 'one is two')
    })`,
  'does-not-load.js': `import './missing.js'`,
  'takes-too-long.js': `import t from 'tap'\nt.setTimeout(300)\nt.test('never ends', () => new Promise((resolve) => setTimeout(resolve, 3000)))`,
  'ends-its-process.js': `import t from 'tap'\nt.test('ends', async () => process.exit(3))`,
  'shares-the-process.js': `import t from 'tap'\nt.equal(globalThis.loads, undefined, 'a new process')`,
}

/** Runs the files with one worker. @returns whether they passed, and each file's result */
const run = async (paths: readonly string[], options: Partial<WorkersOptions> = {}) => {
  const results: FileResult[] = []
  const report = { file: (result: FileResult) => void results.push(result), end: () => {} }
  const workers = runInWorkers({ files: paths, jobs: 1, timeout: 60, env: childEnvironment(), report, ...options })
  return { passed: await workers.passed, results }
}

t.test('results of files in one worker', async (t) => {
  const folder = t.testdir(files)
  const { passed, results: list } = await run(Object.keys(files).map((name) => `${folder}/${name}`))
  t.equal(passed, false)
  const results = new Map(list.map((result) => [result.file.slice(folder.length + 1), result]))
  const outcome = (name: keyof typeof files) => {
    const { ok, counts, failures } = results.get(name) as FileResult
    return { ok, counts, failures: failures.map(({ fullname }) => fullname.replace(`${folder}/`, '')) }
  }
  t.same(outcome('passes.js'), { ok: true, counts: { pass: 2, fail: 0, skip: 1 }, failures: [] })
  t.same(outcome('has-no-assertion.js'), { ok: true, counts: { pass: 1, fail: 0, skip: 0 }, failures: [] })
  t.same(outcome('fails.js'), {
    ok: false,
    counts: { pass: 1, fail: 1, skip: 0 },
    failures: ['fails.js > a group > one is two'],
  })
  t.match(results.get('fails.js')?.output, /a line on standard error/)
  t.match(results.get('fails.js')?.failures[0]?.diag, { diff: /-1/ })
  t.match(outcome('does-not-load.js'), { ok: false, counts: { pass: 0, fail: 1 }, failures: [/Cannot find module/] })
  t.equal(outcome('takes-too-long.js').ok, false)
  t.match(outcome('takes-too-long.js').failures[0], /timeout!/)
  t.same(outcome('ends-its-process.js').ok, false)
  t.same(outcome('shares-the-process.js'), { ok: true, counts: { pass: 1, fail: 0, skip: 0 }, failures: [] })
})

t.test('a worker that is kept alive after its last file fails the run', async (t) => {
  const folder = t.testdir({ 'open.js': `import t from 'tap'\nt.pass('one')\nsetInterval(() => {}, 1000)` })
  const { passed } = await run([`${folder}/open.js`], { env: { ...childEnvironment(), TEST_WORKER_EXIT_MS: '200' } })
  t.equal(passed, false)
})

t.test('without a failure the run passes', async (t) => {
  const folder = t.testdir({ 'a.js': `import t from 'tap'\nt.pass('one')`, 'b.js': `import t from 'tap'\nt.pass('one')` })
  const { passed, results } = await run([`${folder}/a.js`, `${folder}/b.js`], { jobs: 2 })
  t.equal(passed, true)
  t.same(results.map(({ file }) => file.slice(folder.length + 1)).toSorted(), ['a.js', 'b.js'])
})

t.test('a worker that does not start fails the run, and is not started again', async (t) => {
  const { passed, results } = await run(['never-runs.js'], {
    env: { ...childEnvironment(), NODE_OPTIONS: '--import=./missing.js' },
  })
  t.equal(passed, false)
  t.same(
    results.flatMap(({ file, output }) => [file, ...(output.match(/ERR_MODULE_NOT_FOUND/) ?? [])]),
    ['a worker before its first file', 'ERR_MODULE_NOT_FOUND'],
  )
})
