import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { calledByEveryProcess } from '../src/app/module-graph.ts'
import { type ServiceName, serviceNames } from '../src/environment.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Processes {
  /** Resolves when all serve; rejects if one does not in time. */
  ready(urlOf: (name: ServiceName) => string): Promise<void>
  /** Stops them, callers before callees. */
  stop(): Promise<void>
}

const readyWithinMs = 180_000
const pollMs = 200

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const endWithParent = new URL('./end-with-parent.ts', import.meta.url).href

/** The service that all others call stops last. */
const waves: readonly (readonly ServiceName[])[] = [
  ['gateway'],
  serviceNames.filter((name) => name !== 'gateway' && !calledByEveryProcess.has(name)),
  [...calledByEveryProcess.keys()],
]

const start = (env: Env): ChildProcess =>
  spawn(process.execPath, ['--import', endWithParent, main], {
    env,
    // The channel ends them, also when this process dies. They are not in the terminal's process group: Ctrl-C is for this
    // process, which stops them in order.
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
    windowsHide: true,
  })

const serves = (url: string): Promise<boolean> =>
  fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).then(
    ({ ok }) => ok,
    () => false,
  )

/** Starts a process for each service. `onEnd` is called when one exits unexpectedly. */
export const startProcesses = (envOf: (name: ServiceName) => Env, onEnd: (line: string) => void): Processes => {
  let stopping = false
  const children = new Map<ServiceName, { readonly child: ChildProcess; readonly ended: Promise<void> }>()
  for (const name of serviceNames) {
    const child = start(envOf(name))
    const ended = new Promise<void>((resolve) => {
      child.once('exit', (status, signal) => {
        resolve()
        if (!stopping) onEnd(`the ${name} process ended ${signal ? `by ${signal}` : `with status ${status}`}`)
      })
    })
    children.set(name, { child, ended })
  }
  return {
    ready: async (urlOf) => {
      const deadline = Date.now() + readyWithinMs
      const waiting = new Set(serviceNames)
      while (waiting.size > 0 && !stopping) {
        for (const name of waiting) if (await serves(urlOf(name))) waiting.delete(name)
        if (waiting.size > 0 && Date.now() > deadline) throw new Error(`not ready in time: ${[...waiting].join(', ')}`)
        if (waiting.size > 0) await sleep(pollMs)
      }
    },
    stop: async () => {
      stopping = true
      for (const wave of waves) {
        const members = wave.flatMap((name) => children.get(name) ?? [])
        for (const { child } of members) if (child.connected) child.disconnect()
        await Promise.all(members.map(({ ended }) => ended))
      }
    },
  }
}
