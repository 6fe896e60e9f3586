import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { atEnd } from './at-end.ts'
import { childEnvironment } from './child-environment.ts'
import { eventually } from './eventually.ts'

export const entry = fileURLToPath(new URL('../src/main.ts', import.meta.url))
/** With more room for short-lived objects than in production (heap.ts): fewer collections, and no restart under new limits. */
export const program: readonly string[] = ['--max-semi-space-size=16', entry]

export interface StartOptions {
  /** Environment variables in addition to PATH and free ports. */
  readonly env?: Record<string, string>
  /** Node's arguments; by default `program`. */
  readonly args?: readonly string[]
  /** Numeric id of the account and its group; by default those of this process. */
  readonly account?: number | undefined
  readonly cwd?: string
}

export interface Started {
  readonly child: ChildProcess
  /** Its output so far. */
  output(): string
  /** Resolves with the URL when the whole banner is printed; rejects if the process ends before. */
  ready(): Promise<string>
  /** Sends SIGTERM and waits until it has ended. @returns the exit status */
  stop(): Promise<number | null>
  /** Waits until it ends by itself. @returns the exit status */
  ended(): Promise<number | null>
}

/** `npm start` on a machine with nothing installed. The process and its database end with the test. */
export const startPlatform = (t: Test, { env = {}, args = program, account, cwd }: StartOptions): Started => {
  const given = { ...childEnvironment(), PORT: '0', METRICS_PORT: '0', ...env }
  const entries = Object.entries(given).map(([key, value]) => `${key}=${value}`)
  // The test runner adds its NODE_OPTIONS to child processes, which then write to a folder that another account cannot write to.
  const [command, before] = account === undefined ? [process.execPath, []] : ['env', ['-i', ...entries, process.execPath]]
  const child = spawn(command, [...before, ...args], {
    env: given,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // A separate process group, so that its child processes can be ended with it.
    ...(account === undefined ? {} : { uid: account, gid: account }),
    ...(cwd === undefined ? {} : { cwd }),
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const directory = () => /"directory":"([^"]+)"/.exec(output)?.[1]
  const killAll = () => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {} // The process has ended.
  }
  const forget = atEnd(killAll)
  t.teardown(async () => {
    killAll()
    await ended
    forget()
    const data = directory()
    if (!data) return
    await eventually(() => processesNaming(data) === 0, { timeoutMs: 20_000 })
    await rm(dirname(data), { recursive: true, force: true })
  })
  return {
    child,
    output: () => output,
    ready: async () => {
      const printed = () => output.includes('/api/v1/notifications') && /OrderHub is ready: (\S+)/.exec(output)?.[1]
      await eventually(() => child.exitCode !== null || Boolean(printed()), { timeoutMs: 150_000 })
      const url = printed()
      if (!url) throw new Error(`It ended before it was ready: ${output}`)
      return url
    },
    stop: async () => {
      child.kill('SIGTERM')
      return ended
    },
    ended: () => ended,
  }
}

/** A folder for DATA_DIR. If we are root and it is private, the account of PostgreSQL has no access. */
export const dataFolder = (t: Test, mode: number): string => {
  const made = mkdtempSync(join(tmpdir(), 'orderhub-start-'))
  chmodSync(made, mode)
  t.teardown(() => rm(made, { recursive: true, force: true }))
  return join(made, 'data')
}

/** Number of processes with this folder in their command line: the embedded PostgreSQL of a test. */
export const processesNaming = (folder: string): number =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
      } catch {
        return false
      }
    }).length
