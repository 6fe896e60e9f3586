#!/usr/bin/env node
// Checks that Helm refuses unknown keys at every level of the values, except in maps that are open on purpose.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const chart = fileURLToPath(new URL('..', import.meta.url))
const schema = JSON.parse(readFileSync(`${chart}/values.schema.json`, 'utf8'))
const resolve = (node) => (node.$ref ? schema.definitions[node.$ref.split('/').at(-1)] : node)

/** Every object in the values: its path for --set, and whether it accepts any key. */
const objectsIn = (reference, path = []) => {
  const node = resolve(reference)
  if (node.type === 'array') return node.items ? objectsIn(node.items, [...path.slice(0, -1), `${path.at(-1)}[0]`]) : []
  if (node.type !== 'object') return []
  const inside = Object.entries(node.properties ?? {}).flatMap(([key, value]) => objectsIn(value, [...path, key]))
  return [{ path, open: node.additionalProperties !== false }, ...inside]
}

const render = (settings) =>
  spawnSync('helm', ['template', 'orderhub', chart, '--set', ['existingSecret=x', ...settings].join(',')], { encoding: 'utf8' })
const pointer = (path) => path.map((key) => `/${key.replace('[0]', '/0')}`).join('')

const objects = objectsIn(schema)
const closed = objects.filter(({ open }) => !open)
const { stderr } = render(closed.map(({ path }) => `${[...path, 'unknown'].join('.')}=1`))
const taken = closed.filter(({ path }) => !stderr.includes(`at '${pointer(path)}': additional properties 'unknown' not allowed`))
for (const { path } of taken) console.error(`an unknown key in ${path.join('.') || 'the values'} is accepted`)

/** Maps with user-defined names, and objects of the Kubernetes API. */
const mayBeOpen =
  /(^|\.)(global|commonLabels|config|podAnnotations|podLabels|annotations|labels|nodeSelector|requests|limits|data|valueFrom|podSecurityContext|securityContext|\w+\[0\])$/
const open = objects.filter(({ open }) => open).map(({ path }) => path.join('.'))
const wrong = open.filter((path) => !mayBeOpen.test(path))
for (const path of wrong) console.error(`${path} accepts any key`)

console.log(`${closed.length} closed objects, ${open.length} open maps`)
process.exitCode = taken.length + wrong.length === 0 ? 0 : 1
