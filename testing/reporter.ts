/** tap's reporter, for its CLI. */
import type { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { createReport, type FileResult } from './report.ts'

/** A test file in tap's runner. */
interface File extends EventEmitter {
  readonly name: string
  /** Milliseconds. */
  readonly time: number | null
  readonly results?: { readonly ok: boolean }
  readonly counts: FileResult['counts']
  readonly lists: { readonly fail: FileResult['failures'] }
}

const report = (runner: EventEmitter): void => {
  let files = 0
  const { file: fileEnded, end } = createReport(() => files)
  runner.on('subtestAdd', () => files++)
  runner.on('subtestStart', (file: File) => {
    let output = ''
    file.once('process', ({ stderr }: ChildProcess) =>
      stderr?.on('data', (chunk) => {
        output += chunk
      }),
    )
    file.once('complete', () => {
      const { name, time, results, lists, counts } = file
      fileEnded({ file: name, ok: results?.ok ?? false, ms: time ?? 0, failures: lists.fail, counts, output })
    })
  })
  runner.once('complete', end)
}

let begun = false

/** tap requires a React component; this one renders nothing. */
export default ({ test }: { test: EventEmitter }): null => {
  if (!begun) report(test)
  begun = true
  return null
}
