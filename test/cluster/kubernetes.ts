import { readFile } from 'node:fs/promises'
import { eventually } from '../../testing/eventually.ts'
import { type CommandOptions, command } from './commands.ts'

export interface Resource {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly labels?: Readonly<Record<string, string>>
    readonly deletionTimestamp?: string
  }
  // biome-ignore lint/suspicious/noExplicitAny: of every kind
  readonly spec?: any
  // biome-ignore lint/suspicious/noExplicitAny: of every kind
  readonly status?: any
}

export const kubectl = (args: readonly string[], options?: CommandOptions): Promise<string> => command('kubectl', args, options)

/** kubectl in one namespace. */
export const inNamespace = (namespace: string) => {
  const run = (args: readonly string[], options?: CommandOptions) => kubectl(['--namespace', namespace, ...args], options)
  const list = async (kind: string, selector = ''): Promise<Resource[]> =>
    JSON.parse(await run(['get', kind, '--output', 'json', '--selector', selector])).items
  const get = async (kind: string, name: string): Promise<Resource> =>
    JSON.parse(await run(['get', kind, name, '--output', 'json']))
  return {
    name: namespace,
    run,
    list,
    get,
    /** A server-side dry run; rejects with the API server's error. */
    tryCreate: (manifest: string) => run(['create', '--dry-run=server', '--filename', '-'], { input: manifest }),
    apply: (manifest: string) => run(['apply', '--server-side', '--force-conflicts', '--filename', '-'], { input: manifest }),
    exec: (pod: string, ...args: string[]) => run(['exec', pod, '--', ...args]),
    remove: (kind: string, ...names: string[]) => run(['delete', kind, ...names, '--ignore-not-found', '--wait=false']),
  }
}
export type Namespace = ReturnType<typeof inNamespace>

/** The container settings that the Pod Security Standard `restricted` requires. */
export const restricted = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  runAsUser: 1000,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}

export const isReady = ({ metadata, status }: Resource): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status?.conditions ?? []).some((condition: { type: string; status: string }) => {
    return condition.type === 'Ready' && condition.status === 'True'
  })

/** Waits until a selector has exactly `count` pods, all ready. */
export const readyPods = (namespace: Namespace, selector: string, count: number, timeoutMs = 180_000): Promise<Resource[]> =>
  eventually(
    async () => {
      const pods = await namespace.list('pods', selector)
      return pods.length === count && pods.every(isReady) && pods
    },
    { timeoutMs, everyMs: 1000 },
  ).catch((cause: Error) => {
    throw new Error(`${count} ready pods of ${selector} expected in ${namespace.name}`, { cause })
  })

/** A manifest of this folder with its `${NAMES}` replaced. */
export const manifest = async (name: string, values: Readonly<Record<string, string>>): Promise<string> => {
  const text = await readFile(new URL(`manifests/${name}`, import.meta.url), 'utf8')
  return text.replaceAll(/\$\{(\w+)\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined) throw new Error(`${name} needs ${key}`)
    return value
  })
}

export const apiVersions = async (): Promise<Set<string>> => new Set((await kubectl(['api-versions'])).trim().split('\n'))
