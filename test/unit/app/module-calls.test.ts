import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { callsBetweenModules } from '../../../scripts/module-calls.ts'
import { loadModule, type ModuleName, registry } from '../../../src/registry.ts'

const sourceOf = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const filesOf = (name: string) =>
  readdirSync(new URL(`../../../src/modules/${name}`, import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => sourceOf(`src/modules/${name}/${file}`))
const linesOf = (calls: readonly { from: string; to: string; ops: readonly string[] }[]) =>
  calls.flatMap(({ from, to, ops }) => ops.map((op) => `${from} ${to}.${op}`)).toSorted()

const names = Object.keys(registry) as ModuleName[]

/** What the source really calls: `users.getUser(` in a module that needs `users`. */
const found = async () => {
  const calls = []
  for (const from of names) {
    const { needs, asks = {} } = await loadModule(from)
    const source = filesOf(from).join('\n')
    for (const [local, { name: to, ops }] of Object.entries({ ...needs, ...asks })) {
      const called = Object.keys(ops).filter((op) => new RegExp(`\\b${local}\\??\\.${op}\\(`).test(source))
      calls.push({ from, to, ops: called })
    }
  }
  return calls
}

t.test('the calls that are shown are the ones that modules make', async (t) => {
  const shown = (await callsBetweenModules()).filter(({ from }) => from !== 'process')
  t.same(linesOf(shown), linesOf(await found()))
  t.ok(linesOf(shown).includes('order user.getUser'))
  for (const line of linesOf(shown)) {
    const [from, to, op] = line.split(/[ .]/) as [string, ModuleName, string]
    const { ops } = registry[to].contract as { ops: Record<string, { callers?: readonly string[] }> }
    t.ok(ops[op]?.callers?.includes(from), line)
  }
})

t.test('what every process may call is what the composition root calls', async (t) => {
  const shown = (await callsBetweenModules()).filter(({ from }) => from === 'process')
  const open = names.flatMap((to) => {
    const { ops } = registry[to].contract as { ops: Record<string, { callers?: readonly string[] }> }
    return Object.keys(ops)
      .filter((op) => !ops[op]?.callers)
      .map((op) => `process ${to}.${op}`)
  })
  t.same(linesOf(shown), open.toSorted())
  const root = sourceOf('src/app/app.ts')
  const called = [
    ...[...root.matchAll(/apiOf\((\w+)Contract, self\)\.(\w+)/g)].map(([, to, op]) => `process ${to}.${op}`),
    ...[...root.matchAll(/const \{ (\w+) \} = links\.apiOf\((\w+)Contract, self\)/g)].map(([, op, to]) => `process ${to}.${op}`),
  ]
  t.same(called.toSorted(), linesOf(shown))
})

t.test('each caller that a contract names exists and has a use for it', async (t) => {
  const shown = linesOf(await callsBetweenModules())
  for (const to of names) {
    const { ops } = registry[to].contract as { ops: Record<string, { callers?: readonly string[] }> }
    for (const [op, { callers = [] }] of Object.entries(ops))
      for (const from of callers) t.ok(shown.includes(`${from} ${to}.${op}`), `${from} ${to}.${op}`)
  }
})

t.test('docs/modules.md shows these calls and no others', async (t) => {
  const arrows = [...sourceOf('docs/modules.md').matchAll(/^ {2}(\w+) -->\|([^|/]+)\| (\w+)$/gm)]
  const shown = arrows.map(([, from = '', ops = '', to = '']) => ({ from, to, ops: ops.split(', ') }))
  t.same(linesOf(shown), linesOf(await callsBetweenModules()))
})
