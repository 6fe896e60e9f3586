import { fileURLToPath } from 'node:url'
import { command } from './commands.ts'
import { appNamespace, chart, monolithNamespace } from './settings.ts'
import { environmentSecret, makeNamespace } from './stores.ts'

export type Mode = 'split' | 'monolith'
/** As in values.yaml. */
export const replicas = 2
const instanceSelector = 'app.kubernetes.io/name=orderhub,app.kubernetes.io/instance=orderhub'
/** Selects pods that serve requests, not those of hooks and tests. */
export const serving = `${instanceSelector},app.kubernetes.io/component notin (keys,migrate,test)`
export const componentSelector = (component: string): string => `${instanceSelector},app.kubernetes.io/component=${component}`
/** The chart's values for the test cluster. */
export const values = fileURLToPath(new URL('values.yaml', import.meta.url))

export const helm = (args: readonly string[]): Promise<string> => command('helm', args)
export const namespaceOf = (mode: Mode): string => (mode === 'split' ? appNamespace : monolithNamespace)

/** Installs or upgrades the release `orderhub` and waits until it is ready. */
export const upgrade = (mode: Mode, ...more: string[]): Promise<string> =>
  helm([
    ...['upgrade', '--install', 'orderhub', chart, '--namespace', namespaceOf(mode), '--values', values],
    ...['--set', `mode=${mode}`, '--wait', '--timeout', '5m', ...more],
  ])

/** Replaces the other mode: a small cluster has no room for both. */
export const install = async (mode: Mode, ...more: string[]) => {
  await uninstall(mode === 'split' ? 'monolith' : 'split')
  const namespace = await makeNamespace(namespaceOf(mode))
  await namespace.apply(await environmentSecret(mode))
  await upgrade(mode, ...more)
  return namespace
}

/** Keeps the keys, as the databases are kept: without them the data cannot be read. */
export const uninstall = (mode: Mode): Promise<string> =>
  helm(['uninstall', 'orderhub', '--namespace', namespaceOf(mode), '--ignore-not-found', '--wait'])
