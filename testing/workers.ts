import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Parser, type Result } from 'tap-parser'
import type { FileResult, Report } from './report.ts'
import { askForFile, type WorkerOrder } from './worker-messages.ts'

export interface WorkersOptions {
  readonly files: readonly string[]
  /** The number of worker processes. */
  readonly jobs: number
  /** Seconds that a file may take, unless it sets its own limit. */
  readonly timeout: number
  readonly env: NodeJS.ProcessEnv
  readonly report: Report
}

export interface Workers {
  /** Resolves after the last file with whether all of them passed. */
  readonly passed: Promise<boolean>
  kill(signal: NodeJS.Signals): void
}

/** In place of a file, in the report. */
const [beforeFiles, afterFiles] = ['a worker before its first file', 'a worker after its last file']
const program = fileURLToPath(new URL('./worker.ts', import.meta.url))
const testProcess = new URL('./test-process.ts', import.meta.url).href

type Ended = (result: Omit<FileResult, 'output'>) => void

/** Parses the TAP of a worker, and calls `ended` for each of its files. */
const parserOf = (ended: Ended): Parser => {
  let failures: Result[] = []
  let counts = { pass: 0, fail: 0, skip: 0 }
  const collect = (parser: Parser): void => {
    let child: Parser | undefined
    parser.on('child', (next: Parser) => {
      child = next
      collect(next)
    })
    parser.on('assert', (result: Result) => {
      // The line that closes a subtest counts only if it says more than the assertions of the subtest.
      const said = result.closingTestPoint && child !== undefined && child.count > 0 && child.ok === result.ok
      if (!said) counts[result.skip ? 'skip' : result.ok ? 'pass' : 'fail']++
      if (!said && !result.ok) failures.push(result)
      if (parser.level > 0) return
      ended({ file: result.name, ok: result.ok, ms: result.time ?? 0, failures, counts })
      failures = []
      counts = { pass: 0, fail: 0, skip: 0 }
    })
  }
  const parser = new Parser()
  collect(parser)
  return parser
}

/** Runs test files in a few worker processes, each of which takes the next file when it has ended one. */
export const runInWorkers = ({ files, jobs, timeout, env, report }: WorkersOptions): Workers => {
  const waiting = [...files]
  const children = new Set<ChildProcess>()
  const ended = Promise.withResolvers<boolean>()
  let passed = true

  const start = (): void => {
    let file = beforeFiles
    /** Standard error of files that have not ended. */
    const outputs = new Map([[file, '']])
    const child = fork(program, {
      execArgv: ['--max-semi-space-size=64', `--import=${testProcess}`],
      // tap sets both for its own test processes; the second says that no coverage is measured.
      env: { ...env, TAP_TIMEOUT: String(timeout), _TAPJS_PROCESSINFO_COVERAGE_: '0' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    children.add(child)
    const end: Ended = (result) => {
      passed &&= result.ok
      report.file({ ...result, output: outputs.get(result.file) ?? '' })
      outputs.delete(result.file)
    }
    // Later, so that standard error, which is another pipe, has been read too.
    child.stdout?.pipe(parserOf((result) => setImmediate(end, result)))
    child.stderr?.on('data', (chunk) => outputs.set(file, `${outputs.get(file) ?? ''}${chunk}`))
    child.on('message', (message) => {
      // tap sends messages too.
      if (message !== askForFile) return
      const next = waiting.shift()
      outputs.delete(beforeFiles)
      file = next ?? afterFiles
      outputs.set(file, '')
      const order: WorkerOrder = next === undefined ? {} : { file }
      child.send(order, () => {})
    })
    const closed = (code: number | null, signal: NodeJS.Signals | null): void => {
      children.delete(child)
      if (outputs.has(file) && (file !== afterFiles || code !== 0)) {
        outputs.set(file, `${outputs.get(file)}\nits process ended with ${signal ?? `status ${code}`}`)
        end({ file, ok: false, ms: 0, failures: [], counts: { pass: 0, fail: 1, skip: 0 } })
      }
      if (waiting.length > 0 && file !== beforeFiles) start()
      else if (children.size === 0) ended.resolve(passed)
    }
    child.once('close', (...status) => setImmediate(closed, ...status))
  }

  for (let n = 0; n < Math.min(jobs, files.length); n++) start()
  return {
    passed: ended.promise,
    kill: (signal) => {
      waiting.length = 0
      for (const child of children) child.kill(signal)
    },
  }
}
