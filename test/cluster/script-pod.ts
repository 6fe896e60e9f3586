import { readFile } from 'node:fs/promises'
import { eventually } from '../../testing/eventually.ts'
import { manifest, type Namespace } from './kubernetes.ts'
import { image } from './settings.ts'

export interface ScriptPodOptions {
  readonly namespace: Namespace
  readonly name: string
  /** A file of the folder `pods`. */
  readonly script: string
  readonly node: string
  /** CPU request. */
  readonly cpu?: string
  readonly env?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

/** A pod that runs a script of `pods` with the image's Node.js. Replaces an earlier pod of the same name. */
export const startScript = async ({ namespace, name, script, node, cpu = '100m', env = {}, labels = {} }: ScriptPodOptions) => {
  const text = await readFile(new URL(`pods/${script}`, import.meta.url), 'utf8')
  await namespace.run(['delete', 'pod', name, '--ignore-not-found', '--grace-period=1'])
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { 'script.mts': text } }
  await namespace.apply(JSON.stringify(configMap))
  const entries = Object.entries(env).map(([key, value]) => ({ name: key, value }))
  await namespace.apply(
    await manifest('script-pod.yaml', {
      NAME: name,
      NODE: node,
      CPU: cpu,
      IMAGE: `${image.repository}:${image.tag}`,
      ENV: JSON.stringify(entries),
      LABELS: JSON.stringify(labels),
    }),
  )
  const log = () => namespace.run(['logs', name])
  const phase = async (): Promise<string> => (await namespace.get('pod', name)).status?.phase
  return {
    log,
    /** Resolves when the script has printed this. */
    printed: (words: string, timeoutMs = 120_000) =>
      eventually(
        async () => {
          if (['Failed', 'Succeeded'].includes(await phase())) throw new Error(`${name} has ended:\n${await log()}`)
          return (await log()).includes(words)
        },
        { timeoutMs, everyMs: 500 },
      ),
    signal: (signal: string) => namespace.exec(name, 'sh', '-c', `kill -${signal} 1`),
    /** Waits until the script has succeeded; returns the last line that it printed. */
    result: async (timeoutMs: number): Promise<string> => {
      const ended = await eventually(
        async () => {
          const now = await phase()
          return ['Failed', 'Succeeded'].includes(now) && now
        },
        { timeoutMs, everyMs: 1000 },
      )
      const text = await log()
      if (ended === 'Failed') throw new Error(`${name} failed:\n${text.slice(-4000)}`)
      return text.trimEnd().split('\n').at(-1) ?? ''
    },
  }
}
