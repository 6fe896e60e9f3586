import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { commandOutputs } from '../commands.ts'
import { apiVersions, inNamespace } from '../kubernetes.ts'
import { helm, install as installRelease, type Mode } from '../release.ts'
import type { Scenario } from '../scenario.ts'
import { chart, monolithNamespace } from '../settings.ts'
import { makeNamespace } from '../stores.ts'

/** A server-side dry run of all manifests that the chart renders with these values. */
const acceptedByServer = async (file: string, say: (line: string) => void): Promise<boolean> => {
  const { name } = await makeNamespace(monolithNamespace)
  const known = await apiVersions()
  // Without the test pod, whose service account does not exist in a dry run: `helm test` covers it.
  const rendered = await helm([
    ...['template', '--skip-tests', 'orderhub', chart, '--namespace', name, '--values', join(chart, 'ci', file)],
    ...[...known].flatMap((version) => ['--api-versions', version]),
  ])
  const needed = new Set([...rendered.matchAll(/^apiVersion: (\S+)$/gm)].map(([, version = '']) => version))
  const unknown = [...needed].filter((version) => !known.has(version))
  if (unknown.length > 0) {
    say(`${file} skipped: the cluster has no ${unknown.join(', ')}`)
    return false
  }
  const args = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--namespace', name, '--filename', '-']
  const { stderr } = await commandOutputs('kubectl', args, { input: rendered })
  assert.doesNotMatch(stderr, /PodSecurity|deprecated/, `warnings about ${file}`)
  if (stderr) say(`${file}: ${stderr.trim()}`)
  return true
}

const installed = async (mode: Mode, say: (line: string) => void): Promise<void> => {
  const begun = Date.now()
  const namespace = await installRelease(mode)
  say(`${mode}: ready after ${Math.round((Date.now() - begun) / 1000)} s`)
  const tested = await helm(['test', 'orderhub', '--namespace', namespace.name, '--timeout', '3m'])
  assert.match(tested, /Phase: +Succeeded/, 'helm test ran no test')
  const log = await inNamespace(namespace.name).run(['logs', 'orderhub-test'])
  say(`${mode}: helm test passed\n${log.trimEnd().replaceAll(/^/gm, '           ')}`)
}

export const install: Scenario = {
  name: 'install',
  title: 'the API server accepts the chart with all example values; both modes become ready and pass helm test',
  run: async (say) => {
    const files = (await readdir(join(chart, 'ci'))).filter((file) => file.endsWith('-values.yaml')).sort()
    let accepted = 0
    for (const file of files) if (await acceptedByServer(file, say)) accepted += 1
    assert(accepted > 0, 'the API server accepted no manifests')
    say(`the API server accepts ${accepted} of ${files.length} values files`)
    await installed('monolith', say)
    await installed('split', say)
  },
}
