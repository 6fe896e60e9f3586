import { fileURLToPath } from 'node:url'
import { command } from './commands.ts'
import { appNamespace, chart, monolithNamespace } from './settings.ts'
import { environmentSecret, makeNamespace } from './stores.ts'

export type Mode = 'split' | 'monolith'
/** As values.yaml has it. */
export const replicas = 2
const instanceSelector = 'app.kubernetes.io/name=orderhub,app.kubernetes.io/instance=orderhub'
/** Pods that serve; not those of hooks and tests. */
export const serving = `${instanceSelector},app.kubernetes.io/component notin (keys,migrate,test)`
export const componentSelector = (component: string): string => `${instanceSelector},app.kubernetes.io/component=${component}`
/** What the chart is given on a test's cluster. */
export const values = fileURLToPath(new URL('values.yaml', import.meta.url))

export const helm = (args: readonly string[]): Promise<string> => command('helm', args)
export const namespaceOf = (mode: Mode): string => (mode === 'split' ? appNamespace : monolithNamespace)

/** Installs or upgrades the release `orderhub` and waits until it is ready. */
export const upgrade = (mode: Mode, ...more: string[]): Promise<string> =>
  helm([
    ...['upgrade', '--install', 'orderhub', chart, '--namespace', namespaceOf(mode), '--values', values],
    ...['--set', `mode=${mode}`, '--wait', '--timeout', '5m', ...more],
  ])

/** In place of the other mode: a small cluster has no room for both. */
export const install = async (mode: Mode, ...more: string[]) => {
  await uninstall(mode === 'split' ? 'monolith' : 'split')
  const namespace = await makeNamespace(namespaceOf(mode))
  await namespace.apply(await environmentSecret(mode))
  await upgrade(mode, ...more)
  return namespace
}

/** The keys stay, as the databases do: without them the data cannot be read again. */
export const uninstall = (mode: Mode): Promise<string> =>
  helm(['uninstall', 'orderhub', '--namespace', namespaceOf(mode), '--ignore-not-found', '--wait'])
