import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { root } from '../../../testing/source.ts'

t.setTimeout(120_000)
const skip = process.platform === 'linux' ? false : 'skipped: without /proc, its processes are not found'

/** A test that never ends, with a process that would outlive it; writes down what there is to clean up. */
const endless = `
import { spawn } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
const { TEST_RUN: folder, TEST_POSTGRES_URL: postgresUrl } = process.env
writeFileSync('report.part', JSON.stringify({ pids: [process.ppid, process.pid, child.pid], folder, postgresUrl }))
renameSync('report.part', 'report.json')
setInterval(() => {}, 1000)
`

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const isListening = ({ hostname, port }: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

t.test('nothing is left of a run whose program is killed', { skip }, async (t) => {
  const settings = JSON.stringify({ type: 'module', tap: { 'type-strip-only': true } })
  const folder = t.testdir({ 'package.json': settings, 'endless.js': endless })
  const program = spawn(process.execPath, [join(root, 'scripts/test.ts'), 'endless.js'], {
    cwd: folder,
    env: childEnvironment(),
    stdio: 'ignore',
  })
  t.teardown(() => program.kill('SIGKILL'))
  const report = join(folder, 'report.json')
  await eventually(() => existsSync(report), { timeoutMs: 60_000 })
  const run: { pids: number[]; folder: string; postgresUrl: string } = JSON.parse(readFileSync(report, 'utf8'))
  const server = new URL(run.postgresUrl)
  t.same(run.pids.map(isRunning), [true, true, true], 'its tap, the test and the process of the test are running')
  t.ok(existsSync(run.folder))
  t.ok(await isListening(server))

  program.kill('SIGKILL')
  await eventually(() => !run.pids.some(isRunning), { timeoutMs: 30_000 })
  await eventually(async () => !(await isListening(server)), { timeoutMs: 30_000 })
  await eventually(() => !existsSync(run.folder), { timeoutMs: 30_000 })
})
