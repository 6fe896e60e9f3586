import { join } from 'node:path'
import { eventually } from '../../testing/eventually.ts'
import { command, shell } from './commands.ts'
import { inNamespace, kubectl, manifest, type Resource } from './kubernetes.ts'
import { hooks, image } from './settings.ts'

/** A folder with controllers to install: NAME.yaml, and NAME.tar with its images. */
const folder = process.env.E2E_CONTROLLERS
/** The program of Argo Rollouts' plugin for Gateway API. */
const plugin = process.env.E2E_ROLLOUTS_PLUGIN

/** Installs these controllers if E2E_CONTROLLERS has them. */
export const installControllers = async (...names: string[]): Promise<void> => {
  if (!folder) return
  for (const name of names) {
    if (hooks.loadImage) await shell(hooks.loadImage, join(folder, `${name}.tar`))
    const apply = () => kubectl(['apply', '--server-side', '--force-conflicts', '--filename', join(folder, `${name}.yaml`)])
    // Custom resources are refused until their CRD, in the same file, is established.
    await eventually(apply, { timeoutMs: 60_000, everyMs: 5000 })
  }
}

const rollouts = inNamespace('argo-rollouts')
const waitsForPlugin = ({ status }: Resource): boolean =>
  (status?.initContainerStatuses ?? []).some(({ name, state }: { name: string; state: { running?: object } }) => {
    return name === 'plugin' && state.running !== undefined
  })

/** Copies the plugin into the pod of Argo Rollouts, which would otherwise download it from GitHub. */
export const installRolloutsPlugin = async (): Promise<void> => {
  if (!plugin) return
  const objects = await manifest('rollouts-plugin.yaml', { IMAGE: `${image.repository}:${image.tag}` })
  const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager=orderhub-e2e', '--filename', '-']
  await rollouts.run(apply, { input: objects })
  const bring =
    'kubectl --namespace argo-rollouts exec --stdin "$1" --container plugin -- sh -c "cat > /plugins/new && chmod 755 /plugins/new && mv /plugins/new /plugins/gatewayapi-plugin" < "$2"'
  await eventually(
    async () => {
      for (const pod of (await rollouts.list('pods')).filter(waitsForPlugin)) {
        await command('sh', ['-c', bring, 'sh', pod.metadata.name, plugin])
      }
      await rollouts.run(['rollout', 'status', 'deployment/argo-rollouts', '--timeout=2s'])
    },
    { timeoutMs: 120_000, everyMs: 1000 },
  )
}

export const hasRolloutsPlugin = async (): Promise<boolean> => {
  const config = await rollouts.run(['get', 'configmap', 'argo-rollouts-config', '--output', 'json'])
  return config.includes('argoproj-labs/gatewayAPI')
}
