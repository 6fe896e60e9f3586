import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../../testing/eventually.ts'
import { CommandError } from '../commands.ts'
import { installControllers } from '../controllers.ts'
import { apiVersions, kubectl, type Namespace, restricted } from '../kubernetes.ts'
import type { Scenario } from '../scenario.ts'
import { appNamespace } from '../settings.ts'
import { makeNamespace } from '../stores.ts'

const policies = fileURLToPath(new URL('../../../deploy/gitops/policies/admission', import.meta.url))
const digest = `@sha256:${'0'.repeat(64)}`
const ours = 'ghcr.io/orderhub/orderhub'
const foreign = 'registry.example/tool'

const pod = (image: string, container: object = {}, spec: object = {}) => {
  const securityContext = { ...restricted, readOnlyRootFilesystem: true }
  const resources = { limits: { memory: '64Mi' } }
  const containers = [{ name: 'app', image, resources, securityContext, ...container }]
  return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'admission' }, spec: { containers, ...spec } })
}

/** The API server's error if it refuses the pod, undefined if it accepts it. */
const refusal = async (namespace: Namespace, manifest: string): Promise<string | undefined> => {
  try {
    await namespace.tryCreate(manifest)
    return undefined
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // While Kyverno is down its webhook refuses every pod.
    assert.doesNotMatch(error.output, /failed calling webhook/)
    return error.output
  }
}

// Without access to the registry the policy also refuses, because it cannot fetch the signature.
const unsigned = /orderhub-image-signatures/
const byTag = /images are named by digest in staging and production/
const readOnly = /containers have a read-only root file system/

export const kyverno: Scenario = {
  name: 'kyverno',
  title: 'Kyverno refuses unsigned images of OrderHub, and images without a digest in production',
  run: async (say) => {
    await installControllers('kyverno')
    if (!(await apiVersions()).has('policies.kyverno.io/v1')) return say('skipped: the cluster has no policies.kyverno.io/v1')
    const production = await makeNamespace(`${appNamespace}-admission`)
    const elsewhere = await makeNamespace(`${appNamespace}-admission-elsewhere`)
    const labels = ['app.kubernetes.io/part-of=orderhub', 'environment=production']
    await kubectl(['label', 'namespace', production.name, ...labels, '--overwrite'])
    const writable = pod(foreign + digest, {
      securityContext: { ...restricted, readOnlyRootFilesystem: false },
    })
    const cases: readonly [string, Namespace, string, RegExp | undefined][] = [
      ['our image by tag', production, pod(`${ours}:0.1.0`), unsigned],
      ['our image by digest, unsigned', production, pod(ours + digest), unsigned],
      ['our image in another namespace', elsewhere, pod(ours + digest), unsigned],
      ['another image by tag', production, pod(`${foreign}:1`), byTag],
      ['a writable root file system', production, writable, readOnly],
      ['another image by digest', production, pod(foreign + digest), undefined],
      ['another image by tag in another namespace', elsewhere, pod(`${foreign}:1`), undefined],
    ]
    try {
      for (const [what, namespace, manifest] of cases)
        assert.equal(await refusal(namespace, manifest), undefined, `${what} is refused before the policies are applied`)
      await eventually(() => kubectl(['apply', '--server-side', '--kustomize', policies]), { timeoutMs: 120_000, everyMs: 2000 })
      for (const [what, namespace, manifest, reason] of cases) {
        const answer = await eventually(
          async () => {
            const found = await refusal(namespace, manifest)
            if (reason === undefined) assert.equal(found, undefined, `${what} is refused`)
            else assert.match(found ?? 'accepted', reason, what)
            return { found }
          },
          { timeoutMs: 60_000, everyMs: 1000 },
        )
        say(`${what}: ${answer.found === undefined ? 'taken' : `refused, ${answer.found.trim().split('\n').at(-1)}`}`)
      }
    } finally {
      // Their webhooks would check, and delay, every other pod of the cluster.
      await kubectl(['delete', '--kustomize', policies, '--ignore-not-found'])
      for (const { name } of [production, elsewhere]) await kubectl(['delete', 'namespace', name, '--wait=false'])
    }
  },
}
