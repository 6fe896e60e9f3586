import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { calledByEveryProcess, callersOf, type Edge, edges, entryOf, loadModule } from '../../../src/app/module-graph.ts'
import { productContract } from '../../../src/modules/product/contract.ts'
import { userContract } from '../../../src/modules/user/contract.ts'
import { type Client, use } from '../../../src/platform/contract.ts'
import { type ModuleName, moduleNames } from '../../../src/registry.ts'

const sourceOf = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const sourcesOf = (folder: string) =>
  readdirSync(new URL(`../../../${folder}/`, import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => sourceOf(`${folder}/${file}`))
    .join('\n')
const linesOf = (calls: readonly Pick<Edge, 'to' | 'ops'>[], from: (call: never) => string) =>
  calls.flatMap((call) => call.ops.map((op) => `${from(call as never)} ${call.to}.${op}`)).toSorted()

t.test('a module calls exactly the operations in its dependencies', async (t) => {
  const found = moduleNames.flatMap((from) => {
    const { dependencies, optionalDependencies } = entryOf(from)
    const source = sourcesOf(`src/modules/${from}`)
    return Object.entries({ ...dependencies, ...optionalDependencies }).map(([local, { contract }]) => ({
      from,
      to: contract.name as ModuleName,
      ops: Object.keys(contract.ops).filter((op) => new RegExp(`\\b${local}\\??\\.${op}\\(`).test(source)),
    }))
  })
  const from = (call: Edge) => call.from
  t.same(linesOf(edges, from), linesOf(found, from))
  t.ok(linesOf(edges, from).includes('order user.getUser'))
})

t.test('a module is loaded with the dependencies that the registry has', async (t) => {
  for (const name of moduleNames) {
    const { dependencies, optionalDependencies } = await loadModule(name)
    t.equal(dependencies, entryOf(name).dependencies, name)
    t.equal(optionalDependencies, entryOf(name).optionalDependencies, name)
  }
})

t.test('the callers of an operation are the modules that depend on it', async (t) => {
  t.same(callersOf('user', 'getUser')?.toSorted(), ['notification', 'order'])
  t.same(callersOf('user', 'issueMailToken'), ['notification'])
  t.same(callersOf('product', 'getProducts'), ['order'])
  t.equal(callersOf('user', 'getSessions'), undefined, 'every process')
  for (const name of moduleNames)
    for (const op of Object.keys(entryOf(name).contract.ops)) t.not(callersOf(name, op)?.length, 0, `${name}.${op} is called`)
})

t.test('the operations that every process may call are those that the composition root calls', async (t) => {
  const root = sourcesOf('src/app')
  const called = [...root.matchAll(/use\((\w+)Contract, '(\w+)'\)/g)].map(([, to, op]) => `process ${to}.${op}`)
  const open = [...calledByEveryProcess].map(([to, ops]) => ({ to, ops }))
  t.same(
    called.toSorted(),
    linesOf(open, () => 'process'),
  )
})

t.test('docs/modules.md shows these calls and no others', async (t) => {
  const arrows = [...sourceOf('docs/modules.md').matchAll(/^ {2}(\w+) -->\|(?:optional: )?([^|/]+)\| (\w+)$/gm)]
  const shown = arrows.map(([, from = '', ops = '', to = '']) => ({ from, to: to as ModuleName, ops: ops.split(', ') }))
  const every = [...calledByEveryProcess].map(([to, ops]) => ({ from: 'process', to, ops }))
  const from = (call: { from: string }) => call.from
  t.same(linesOf(shown, from), linesOf([...edges, ...every], from))
})

t.test('a misspelt operation does not compile, nor does a call to an operation outside the dependencies', async (t) => {
  // @ts-expect-error: the contract has getProducts
  t.ok(use(productContract, 'getProduct'))
  const users = use(userContract, 'getUser')
  type Users = Client<typeof users>
  // @ts-expect-error: only getUser is a dependency
  type Other = Users['getUsers']
  t.same(users.ops, ['getUser'] satisfies (keyof Users)[])
  t.equal(undefined as unknown as Other, undefined)
})
