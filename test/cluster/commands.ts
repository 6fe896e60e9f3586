import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds after which the command is killed. */
  readonly timeout?: number
}

export class CommandError extends Error {
  readonly output: string
  constructor(command: string, outcome: string, output: string) {
    super(`${command}: ${outcome}\n${output.trim()}`)
    this.name = 'CommandError'
    this.output = output
  }
}

/** Runs a program; rejects with both outputs if it fails. */
export const commandOutputs = (
  program: string,
  args: readonly string[],
  { input, env, timeout = 600_000 }: CommandOptions = {},
): Promise<{ stdout: string; stderr: string }> => {
  const { promise, resolve, reject } = Promise.withResolvers<{ stdout: string; stderr: string }>()
  const child = spawn(program, args, { env: { ...process.env, ...env }, timeout, stdio: ['pipe', 'pipe', 'pipe'] })
  const outputs = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      outputs[name] += text
    })
  }
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  child.on('error', reject)
  child.on('close', (status, signal) => {
    if (status === 0) return resolve(outputs)
    const said = `${outputs.stdout}\n${outputs.stderr}`
    reject(new CommandError(`${program} ${args.slice(0, 6).join(' ')}`, `exited with ${signal ?? status}`, said))
  })
  return promise
}

/** Runs a program; returns its standard output. */
export const command = async (...args: Parameters<typeof commandOutputs>): Promise<string> =>
  (await commandOutputs(...args)).stdout

/** Runs a command line from the environment, with these arguments appended. */
export const shell = (line: string, ...args: string[]): Promise<string> => command('sh', ['-c', `${line} "$@"`, 'sh', ...args])
