import { spawnSync } from 'node:child_process'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { serviceNames } from '../src/environment.ts'

type Labelled = { labels?: Record<string, string>; annotations?: Record<string, string> }
type Manifest = {
  apiVersion: string
  kind: string
  metadata: Labelled & { name: string; namespace?: string }
  spec?: { template?: { metadata: Labelled } }
}

const header = '# Generated from charts/orderhub by `npm run generate`.\n'
/** Kubernetes' tools read YAML 1.1, where 0440 is octal. */
const yaml = { version: '1.1' } as const
const apis = ['gateway.networking.k8s.io/v1', 'monitoring.coreos.com/v1']
/** Kinds that the migrations or the first pods need. */
const prerequisites = new Set(['ConfigMap', 'NetworkPolicy', 'ServiceAccount'])

/** Labels that change with each release, or that name another deployer. */
const transient = ['app.kubernetes.io/managed-by', 'app.kubernetes.io/version', 'helm.sh/chart']

const without = (entries: Record<string, string> = {}, leaves: (key: string) => boolean): Record<string, string> =>
  Object.fromEntries(Object.entries(entries).filter(([key]) => !leaves(key)))

/**
 * Argo CD applies waves in order: what the migrations need, then the migrations, then the rest. Flux has no waves; its two Kustomizations
 * distinguish the stages by this annotation. `force` replaces a finished Job, which is immutable.
 */
const stage = ({ kind }: Manifest): Record<string, string> => {
  if (prerequisites.has(kind)) return { 'argocd.argoproj.io/sync-wave': '-2' }
  if (kind !== 'Job') return {}
  return {
    'argocd.argoproj.io/hook': 'Sync',
    'argocd.argoproj.io/hook-delete-policy': 'BeforeHookCreation',
    'argocd.argoproj.io/sync-wave': '-1',
    'kustomize.toolkit.fluxcd.io/force': 'enabled',
  }
}

const plain = (manifest: Manifest): Manifest => {
  const { metadata, spec } = manifest
  const labels = without(metadata.labels, (key) => transient.includes(key))
  const annotations = {
    ...without(metadata.annotations, (key) => key.startsWith('helm.sh/')),
    ...stage(manifest),
  }
  const pod = spec?.template?.metadata
  if (pod?.labels) pod.labels = without(pod.labels, (key) => transient.includes(key))
  const { labels: _l, annotations: _a, ...names } = metadata
  return { ...manifest, metadata: { ...names, labels, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) } }
}

const kustomization = (resources: string[]) => ({
  apiVersion: 'kustomize.config.k8s.io/v1beta1',
  kind: 'Kustomization',
  resources,
  // Overlays merge their configuration into this one; it overrides each service's own.
  configMapGenerator: [{ name: 'orderhub-config', options: { annotations: { 'argocd.argoproj.io/sync-wave': '-2' } } }],
  patches: [
    {
      target: { kind: 'Deployment|Job' },
      patch: stringify([
        { op: 'add', path: '/spec/template/spec/containers/0/envFrom/-', value: { configMapRef: { name: 'orderhub-config' } } },
      ]),
    },
  ],
})

/** The chart's manifests for a namespace; undefined without helm. */
const render = (folder: string, namespace: string): Manifest[] | undefined => {
  const { error, status, stdout, stderr } = spawnSync(
    'helm',
    [
      ...['template', 'orderhub', 'charts/orderhub', '--namespace', namespace, '--values', join(folder, 'values.yaml')],
      ...['--skip-tests', ...apis.flatMap((api) => ['--api-versions', api])],
      ...serviceNames.flatMap((name) => ['--set', `keys.existingSecrets.${name}=orderhub-keys-${name}`]),
    ],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  )
  // EACCES: PATH has a folder without access for this user, and helm is in none of the others.
  if (error && 'code' in error && /^(ENOENT|EACCES)$/.test(String(error.code))) return undefined
  if (error) throw error
  if (status !== 0) throw new Error(`helm template: ${stderr}`)
  return parseAllDocuments(stdout, yaml)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
    .map(plain)
}

const write = (path: string, manifests: unknown[]): Promise<void> =>
  writeFile(
    path,
    header +
      manifests.map((manifest) => stringify(manifest, { ...yaml, aliasDuplicateObjects: false, lineWidth: 0 })).join('---\n'),
  )

const componentOf = ({ metadata }: Manifest): string => metadata.labels?.['app.kubernetes.io/component'] ?? 'common'

/**
 * Renders `folder`/base from the chart with `folder`/values.yaml, one file per component, and each overlay's alerts, whose
 * expressions contain the namespace. Returns whether helm was available.
 */
export const generateManifests = async (folder: string): Promise<boolean> => {
  const manifests = render(folder, 'orderhub')
  if (!manifests) return false
  const base = join(folder, 'base')
  await rm(base, { recursive: true, force: true })
  await mkdir(base, { recursive: true })
  // To helm, the test's network policy is not a test.
  const shared = manifests.filter((manifest) => manifest.kind !== 'PrometheusRule' && componentOf(manifest) !== 'test')
  const files = Object.entries(Object.groupBy(shared, (manifest) => `${componentOf(manifest)}.yaml`))
  for (const [file, members = []] of files) await write(join(base, file), members)
  await write(join(base, 'kustomization.yaml'), [kustomization(files.map(([file]) => file).toSorted())])

  for (const environment of await readdir(join(folder, 'overlays'))) {
    const rules = render(folder, `orderhub-${environment}`)?.filter(({ kind }) => kind === 'PrometheusRule') ?? []
    await write(join(folder, 'overlays', environment, 'alerts.yaml'), rules)
  }
  return true
}
