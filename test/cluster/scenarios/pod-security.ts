import assert from 'node:assert/strict'
import { CommandError } from '../commands.ts'
import { restricted } from '../kubernetes.ts'
import type { Scenario } from '../scenario.ts'
import { appNamespace, image } from '../settings.ts'
import { makeNamespace } from '../stores.ts'

const pod = (securityContext: object, spec: object = {}) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'pod-security' },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'node', image: `${image.repository}:${image.tag}`, command: ['node', '--version'], securityContext }],
      ...spec,
    },
  })
const bad = {
  privileged: pod({ ...restricted, allowPrivilegeEscalation: true, privileged: true }),
  'as root': pod({ ...restricted, runAsNonRoot: false, runAsUser: 0 }),
  'with capabilities': pod({ ...restricted, capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } }),
  'without seccomp': pod({ ...restricted, seccompProfile: undefined }),
  "in the node's network": pod(restricted, { hostNetwork: true }),
  "with the node's files": pod(restricted, { volumes: [{ name: 'host', hostPath: { path: '/' } }] }),
}

export const podSecurity: Scenario = {
  name: 'pod-security',
  title: 'the namespace refuses pods that break the Pod Security Standard restricted',
  run: async (say) => {
    const namespace = await makeNamespace(appNamespace)
    await namespace.tryCreate(pod(restricted))
    for (const [what, manifest] of Object.entries(bad)) {
      const refusal = (error: unknown) => error instanceof CommandError && /violates PodSecurity "restricted/.test(error.output)
      await assert.rejects(namespace.tryCreate(manifest), refusal, `a pod ${what} was not refused as expected`)
    }
    say(`a restricted pod is accepted; refused: ${Object.keys(bad).join(', ')}`)
  },
}
