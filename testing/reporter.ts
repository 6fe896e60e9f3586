/** tap's reporter, for terminals and pipes: prints one line for each file when it ends, and how to run a failed file. */
import type { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { stringify } from 'yaml'

interface Assertion {
  readonly fullname: string
  readonly diag: object | null
}

/** A test file in tap's runner. */
interface File extends EventEmitter {
  readonly name: string
  /** Milliseconds. */
  readonly time: number | null
  readonly results?: { readonly ok: boolean }
  readonly lists: { readonly fail: readonly Assertion[] }
}

interface Runner extends EventEmitter {
  readonly counts: { readonly pass: number; readonly fail: number; readonly skip: number }
}

/** The maximum number of characters of a failed file's standard error that are printed. */
const keptOutput = 20_000

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ')

const failureText = ({ lists }: File, output: string): string =>
  [
    ...lists.fail.map(
      ({ fullname, diag }) => `  ${fullname}\n${diag ? indented(stringify(diag, { lineWidth: 0, blockQuote: 'literal' })) : ''}`,
    ),
    ...(output ? [`  standard error:\n${indented(output)}`] : []),
  ].join('\n')

export const report = (runner: Runner, print: (line: string) => void): void => {
  const began = performance.now()
  const failed: string[] = []
  let files = 0
  let ended = 0
  runner.on('subtestAdd', () => files++)
  runner.on('subtestStart', (file: File) => {
    let output = ''
    file.once('process', ({ stderr }: ChildProcess) =>
      stderr?.on('data', (chunk) => {
        output = `${output}${chunk}`.slice(-keptOutput)
      }),
    )
    file.once('complete', () => {
      const ok = file.results?.ok ?? false
      print(
        `${ok ? 'ok    ' : 'FAILED'} ${seconds(file.time ?? 0).padStart(8)}  ${file.name}  (${++ended} of ${Math.max(files, ended)})`,
      )
      if (ok) return
      failed.push(file.name)
      print(`${failureText(file, output)}\n  to run it alone: npx tap ${file.name}`)
    })
  })
  runner.once('complete', () => {
    const { pass, fail, skip } = runner.counts
    const skipped = skip > 0 ? `, ${skip} skipped` : ''
    print(
      `\n${ended} ${ended === 1 ? 'file' : 'files'} in ${seconds(performance.now() - began)}: ${pass} passed, ${fail} failed${skipped}`,
    )
    for (const name of failed) print(`npx tap ${name}`)
  })
}

let begun = false

/** tap requires a React component; this one renders nothing. */
export default ({ test }: { test: Runner }): null => {
  if (!begun) report(test, console.log)
  begun = true
  return null
}
