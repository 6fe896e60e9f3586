import { stringify } from 'yaml'

interface Failure {
  readonly fullname: string
  readonly diag: object | null
}

/** The result of a test file. */
export interface FileResult {
  readonly file: string
  readonly ok: boolean
  /** Milliseconds. */
  readonly ms: number
  readonly failures: readonly Failure[]
  /** Numbers of assertions. */
  readonly counts: { readonly pass: number; readonly fail: number; readonly skip: number }
  /** Its standard error. */
  readonly output: string
}

/** Prints one line for each file when it ends, and how to run a failed file. */
export interface Report {
  file(result: FileResult): void
  /** Prints the sum, and the failed files once more. */
  end(): void
}

/** The maximum number of characters of a failed file's standard error that are printed. */
const keptOutput = 20_000

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ')

const failureText = ({ failures, output }: FileResult): string =>
  [
    ...failures.map(
      ({ fullname, diag }) => `  ${fullname}\n${diag ? indented(stringify(diag, { lineWidth: 0, blockQuote: 'literal' })) : ''}`,
    ),
    ...(output ? [`  standard error:\n${indented(output.slice(-keptOutput))}`] : []),
  ].join('\n')

/** @param total the number of files, which may grow */
export const createReport = (total: () => number, print: (line: string) => void = console.log): Report => {
  const began = performance.now()
  const failed: string[] = []
  const sum = { pass: 0, fail: 0, skip: 0 }
  let ended = 0
  return {
    file: (result) => {
      const { file, ok, ms, counts } = result
      for (const key of ['pass', 'fail', 'skip'] as const) sum[key] += counts[key]
      print(`${ok ? 'ok    ' : 'FAILED'} ${seconds(ms).padStart(8)}  ${file}  (${++ended} of ${Math.max(total(), ended)})`)
      if (ok) return
      failed.push(file)
      print(`${failureText(result)}\n  to run it alone: npx tap ${file}`)
    },
    end: () => {
      const skipped = sum.skip > 0 ? `, ${sum.skip} skipped` : ''
      const files = `${ended} ${ended === 1 ? 'file' : 'files'}`
      print(`\n${files} in ${seconds(performance.now() - began)}: ${sum.pass} passed, ${sum.fail} failed${skipped}`)
      for (const file of failed) print(`npx tap ${file}`)
    },
  }
}
