import type { Test } from 'tap'

/** Runs the main function of a command in this process, which saves the second that a process takes to load. */
export const runMain = async (
  t: Test,
  main: () => Promise<number>,
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> => {
  const [log, error] = [t.capture(console, 'log'), t.capture(console, 'error')]
  const status = await main()
  const [stdout = '', stderr = ''] = [log, error].map((captured) =>
    captured()
      .map((call) => `${call.args[0]}\n`)
      .join(''),
  )
  for (const { restore } of [log, error]) restore()
  return { status, stdout, stderr }
}
