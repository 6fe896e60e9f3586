import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { serviceNames } from '../../../src/environment.ts'

// biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds
type Manifest = Record<string, any>

const gitops = 'deploy/gitops'
const environments = readdirSync(join(gitops, 'overlays')).sort()

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.yaml'))
    .map((path) => join(folder, path))

const documents = (path: string): Manifest[] =>
  parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`)
    return document.toJS() as Manifest
  })

const all = (folder: string): Manifest[] => filesBelow(join(gitops, folder)).flatMap(documents)
const one = (path: string): Manifest => documents(join(gitops, path))[0] as Manifest
const overlay = (environment: string): Manifest => one(`overlays/${environment}/kustomization.yaml`)
const named = (manifests: Manifest[], kind: string) =>
  manifests.filter((manifest) => manifest.kind === kind).map((manifest) => manifest.metadata.name as string)
const base = all('base')
const namespace = one('policies/namespace/namespace.yaml')

t.test('no kustomization uses deprecated fields', async (t) => {
  const deprecated = [
    'bases',
    'commonLabels',
    'commonAnnotations',
    'patchesStrategicMerge',
    'patchesJson6902',
    'vars',
    'imageTags',
  ]
  const kustomizations = filesBelow(gitops).filter((path) => path.endsWith('kustomization.yaml'))
  t.ok(kustomizations.length >= 8)
  for (const path of kustomizations) {
    const [kustomization = {}] = documents(path)
    t.same(
      Object.keys(kustomization).filter((key) => deprecated.includes(key)),
      [],
      path,
    )
  }
})

t.test('the base has every service, and nothing that is only for Helm or for a trial', async (t) => {
  const names = serviceNames.map((name) => `orderhub-${name}`).sort()
  for (const kind of ['Deployment', 'HorizontalPodAutoscaler', 'PodDisruptionBudget'])
    t.same(named(base, kind).sort(), names, kind)
  t.same(
    base.filter(({ kind }) => kind === 'Secret'),
    [],
    'no secret',
  )
  t.notMatch(JSON.stringify(base.map(({ metadata }) => metadata)), /helm\.sh\/|"app.kubernetes.io\/component":"test"/)
  t.same(named(base, 'Job'), ['orderhub-migrate'], 'no trial keys')
})

t.test('every pod meets the restricted Pod Security standard and has a read-only root filesystem', async (t) => {
  for (const { kind, metadata, spec } of base.filter(({ kind }) => kind === 'Deployment' || kind === 'Job')) {
    const pod = spec.template.spec
    t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, `${kind} ${metadata.name}`)
    t.equal(pod.automountServiceAccountToken, false, 'no service account token')
    for (const { secret } of pod.volumes) if (secret) t.equal(secret.defaultMode, 0o440, 'keys are not world-readable')
    for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
      t.match(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      t.ok(container.resources.limits.memory, 'a memory limit')
    }
  }
})

t.test('sync order: what the migrations need, then the migrations, then the rest', async (t) => {
  const wave = ({ metadata }: Manifest) => Number(metadata.annotations?.['argocd.argoproj.io/sync-wave'] ?? 0)
  const job = base.find(({ kind }) => kind === 'Job') as Manifest
  const pod = job.spec.template.spec
  const needed = [
    ...base.filter(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === pod.serviceAccountName),
    ...base.filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'orderhub-migrate'),
    ...base.filter(({ kind }) => kind === 'NetworkPolicy'),
    namespace,
  ]
  t.ok(needed.length >= 4)
  for (const manifest of needed) t.ok(wave(manifest) < wave(job), `${manifest.kind} ${manifest.metadata.name}`)
  for (const manifest of base.filter(({ kind }) => kind === 'Deployment')) t.ok(wave(manifest) > wave(job))
  t.equal(job.metadata.annotations['argocd.argoproj.io/hook'], 'Sync')
  t.equal(job.metadata.annotations['kustomize.toolkit.fluxcd.io/force'], 'enabled', 'a Job is immutable, so it must be replaced')
})

t.test('the namespace enforces Pod Security, and denies network traffic by default', async (t) => {
  for (const mode of ['enforce', 'audit', 'warn']) {
    t.equal(namespace.metadata.labels[`pod-security.kubernetes.io/${mode}`], 'restricted')
    t.equal(namespace.metadata.labels[`pod-security.kubernetes.io/${mode}-version`], 'latest')
  }
  t.same(one('policies/namespace/network-policies.yaml').spec, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
})

t.test('no role can read secrets, open a shell, or use wildcards', async (t) => {
  const rules = all('policies/namespace').flatMap((manifest) => (manifest.kind === 'Role' ? manifest.rules : []))
  t.ok(rules.length > 0)
  for (const { apiGroups, resources, verbs } of rules) {
    t.notOk([...apiGroups, ...resources, ...verbs].includes('*'))
    t.notMatch(resources.join(), /secrets|exec|attach|portforward|ephemeralcontainers/)
    if (!resources.includes('rollouts/status')) t.notMatch(verbs.join(), /create|update|patch|delete/)
  }
})

t.test('environments', async (t) => {
  t.same(environments, ['dev', 'production', 'staging'])
  for (const environment of environments) {
    t.test(environment, async (t) => {
      const kustomization = overlay(environment)
      const space = `orderhub-${environment}`
      t.equal(kustomization.namespace, space)
      t.same(kustomization.labels[0].pairs, { environment }, 'the label that admission policies match')
      t.notOk(kustomization.labels[0].includeSelectors, 'selectors are immutable')
      const [image] = kustomization.images
      t.equal(image.name, 'ghcr.io/orderhub/orderhub')
      if (environment !== 'dev') t.match(image.digest, /^sha256:[0-9a-f]{64}$/)
      t.notOk('secretGenerator' in kustomization, 'no secret in git')
      t.match(
        kustomization.patches.find((patch: Manifest) => patch.target.kind === 'ExternalSecret').patch,
        new RegExp(`ClusterSecretStore, name: ${space} `),
        'its own secret store',
      )
      t.match(readFileSync(join(gitops, 'overlays', environment, 'alerts.yaml'), 'utf8'), `namespace="${space}"`)

      const application = one(`argocd/${environment}.yaml`)
      t.match(application.spec, {
        source: { path: `deploy/gitops/overlays/${environment}`, targetRevision: 'main' },
        destination: { namespace: space },
        syncPolicy: { automated: { prune: true, selfHeal: true }, retry: { backoff: { factor: 2 } } },
      })
      t.ok(application.spec.syncPolicy.syncOptions.includes('ServerSideApply=true'))
      t.ok(one('argocd/project.yaml').spec.destinations.some((destination: Manifest) => destination.namespace === space))

      const [migrations = {}, rest = {}] = documents(join(gitops, 'flux', `${environment}.yaml`))
      for (const { spec } of [migrations, rest])
        t.match(spec, {
          path: `./deploy/gitops/overlays/${environment}`,
          prune: true,
          wait: true,
          sourceRef: { name: 'orderhub' },
        })
      t.same(rest.spec.dependsOn, [{ name: migrations.metadata.name }])
    })
  }

  for (const environment of environments.filter((name) => name !== 'dev')) {
    const terraform = readFileSync(`deploy/terraform/environments/${environment}/main.tf`, 'utf8')
    t.match(terraform, new RegExp(`environment += "${environment}"`))
  }
})

t.test('every Secret that a pod uses comes from the secret store', async (t) => {
  const used = new Set<string>()
  for (const { spec } of base.filter(({ kind }) => kind === 'Deployment' || kind === 'Job')) {
    const pod = spec.template.spec
    for (const source of pod.containers.flatMap((container: Manifest) => container.envFrom))
      if (source.secretRef) used.add(source.secretRef.name)
    for (const { valueFrom } of pod.containers.flatMap((container: Manifest) => container.env ?? []))
      if (valueFrom?.secretKeyRef) used.add(valueFrom.secretKeyRef.name)
    for (const { secret } of pod.volumes) if (secret) used.add(secret.secretName)
  }
  t.same(named(all('components/external-secrets'), 'ExternalSecret').sort(), [...used].sort())
})

t.test('the Argo CD project allows exactly the kinds that are deployed', async (t) => {
  const { clusterResourceWhitelist, namespaceResourceWhitelist } = one('argocd/project.yaml').spec
  const allowed = [...clusterResourceWhitelist, ...namespaceResourceWhitelist].map(({ group, kind }) => `${group}/${kind}`)
  const deployed = [...base, ...all('overlays'), ...all('policies/namespace'), ...all('components')]
    .filter(({ kind }) => kind !== 'Kustomization' && kind !== 'Component')
    .map(({ apiVersion, kind }) => `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}`)
  t.same(allowed.sort(), [...new Set(deployed)].sort())
})
