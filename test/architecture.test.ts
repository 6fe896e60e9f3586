import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { registry } from '../src/registry.ts'
import { entries, findCycles, rules, schemaRule } from '../testing/architecture-rules.ts'
import { parseSource, readSchemas, readSources, root } from '../testing/source.ts'

const sources = readSources()
const modules = readdirSync(join(root, 'src/modules'))
const schemas = readSchemas(modules)
const every = [...rules, schemaRule(schemas)]

for (const { rule, advice, find } of every) {
  t.test(rule, async (t) => {
    const found = sources.flatMap((source) => find(source).map(({ line, what }) => `${source.path}:${line} ${what}`))
    t.same(found, [], `${rule}. Instead: ${advice}`)
  })
}

t.test('there are no import cycles', async (t) => {
  const cycles = findCycles(sources).map((cycle) => cycle.join(' -> '))
  t.same(cycles, [], 'move the shared code into a separate file')
})

t.test('every module on disk is in the registry with its name and migrations', async (t) => {
  t.same(Object.keys(registry).sort(), [...modules].sort(), 'add the module to src/registry.ts, or remove its folder')
  for (const [name, { contract }] of Object.entries(registry)) {
    t.equal(contract.name, name, `src/modules/${name}/contract.ts: the contract has the name of its folder`)
    t.ok(existsSync(join(root, `src/modules/${name}/module.ts`)), `src/modules/${name}/module.ts exists: the registry loads it`)
  }
  const stored = modules.filter((name) => existsSync(join(root, `src/modules/${name}/tables.ts`)))
  t.same(readdirSync(join(root, 'drizzle')).sort(), stored.sort(), 'run `npm run generate`: one folder per module with tables')
  for (const name of stored) {
    const journal = JSON.parse(readFileSync(join(root, `drizzle/${name}/meta/_journal.json`), 'utf8'))
    const missing = journal.entries.filter(({ tag }: { tag: string }) => !existsSync(join(root, `drizzle/${name}/${tag}.sql`)))
    t.ok(journal.entries.length > 0 && missing.length === 0, `drizzle/${name}: every journal entry has its .sql file`)
  }
  const owned = [...schemas.values()].flat()
  t.equal(new Set(owned).size, owned.length, 'a schema belongs to one module')
  t.equal(owned.length, stored.length, "each module's tables.ts declares one pgSchema")
})

t.test('importing a file has no side effects', async (t) => {
  const files = sources.map(({ path }) => path).filter((path) => !entries.test(path))
  const script = `for (const file of ${JSON.stringify(files)}) await import(file.replace('src', '${join(root, 'src')}'))`
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: {},
    timeout: 30_000, // A timer or socket that keeps the process alive is an error here.
  })
  t.same({ stdout, stderr }, { stdout: '', stderr: '' }, 'open, read and start resources in a function that app.ts calls')
})

/** For each rule, source code that violates it, and similar code that it must accept. */
const samples: readonly (readonly [rule: string, path: string, bad: string, good: string])[] = [
  [
    'only the contract.ts',
    'src/modules/a/service.ts',
    `import type { B } from '../b/service.ts'`,
    `import { b } from '../b/contract.ts'`,
  ],
  [
    'only the contract.ts',
    'src/modules/a/x/y.ts',
    `type B = import('../../b/tables.ts').B`,
    `export { c } from '../contract.ts'`,
  ],
  [
    'the application around it',
    'src/modules/a/module.ts',
    `import { registry } from '../../registry.ts'`,
    `import { log } from '../../platform/observability/log.ts'`,
  ],
  [
    'the application around it',
    'src/modules/a/module.ts',
    `import { readConfig } from '../../config.ts'`,
    `import type { Config } from '../../config.ts'`,
  ],
  ['knows no module', 'src/platform/x.ts', `const m = () => import('../modules/a/contract.ts')`, `import '../platform/y.ts'`],
  ['knows no module', 'src/platform/x.ts', `export * from '../app/app.ts'`, `import type { Config } from '../config.ts'`],
  [
    'imports a higher one',
    'src/platform/db/x.ts',
    `import type { Q } from '../queue/backend.ts'`,
    `import { fail } from '../errors.ts'`,
  ],
  ['imports a higher one', 'src/platform/ids.ts', `import { a } from './db/database.ts'`, `import { b } from './errors.ts'`],
  [
    'imports a higher one',
    'src/platform/rpc/x.ts',
    `export * from '../new-folder/x.ts'`,
    `import { a } from '../http/server.ts'`,
  ],
  ['dependencies.ts is data', 'src/modules/a/dependencies.ts', `import { fail } from './errors.ts'`, `import '../b/contract.ts'`],
  [
    'imports a module.ts',
    'src/app/start.ts',
    `import order from '../modules/order/module.ts'`,
    `import { defineModule } from '../platform/module.ts'`,
  ],
  [
    'contract.ts is data',
    'src/modules/a/contract.ts',
    `import { fail } from '../../platform/errors.ts'`,
    `import { Type } from 'typebox'`,
  ],
  [
    'contract.ts is data',
    'src/modules/a/contract.ts',
    `import fastify from 'fastify'`,
    `import { Id } from '../../platform/schema.ts'`,
  ],
  ['SQL is only in', 'src/modules/a/service.ts', `import { sql } from 'drizzle-orm'`, `import { r } from './repository.ts'`],
  ['SQL is only in', 'src/modules/a/service.ts', `db.use((orm) => orm.select())`, `app.use(x)`],
  ['SQL is only in', 'src/modules/a/service.ts', `db.write(statement)`, `file.write(text)`],
  ['SQL is only in', 'src/modules/a/service.ts', 'run(`select 1 from t`)', `// select 1 from t\nconst from = 'select one'`],
  [
    'only inside its own module',
    'src/app/app.ts',
    `import { users } from '../modules/user/tables.ts'`,
    `import '../platform/events/tables.ts'`,
  ],
  ['one SQL statement', 'src/modules/a/repository.ts', 'client.begin(async () => {})', `const begin = 1`],
  ['one SQL statement', 'src/platform/db/database.ts', `orm.transaction(f)`, `// client.begin()`],
  ['one SQL statement', 'src/modules/a/repository.ts', 'sql`begin`', 'sql`select now()`'],
  ['does not apply', 'src/modules/a/repository.ts', 'owner ? sql`a = 1` : sql`true`', 'allOf([equals(sql`a`, owner)])'],
  ['environment', 'src/modules/a/module.ts', `const { env } = process`, `const { env } = host`],
  ['environment', 'src/platform/observability/log.ts', `const x = process['env'].HOME`, `const x = process.argv`],
  ['environment', 'src/app/app.ts', `import { env } from 'node:process'`, `import { exit } from './process.ts'`],
  [
    'a named plugin',
    'src/platform/http/x.ts',
    `app.addHook('onRequest', f)`,
    `import fp from 'fastify-plugin'\nfp(async (app) => app.addHook('onRequest', f), { name: 'x' })`,
  ],
  ['share its process', 'src/modules/a/module.ts', `if (config.selected.length > 1) x()`, `if (config.production) x()`],
  ['share its process', 'src/modules/a/module.ts', `const f = ({ config: { selected } }) => 1`, `const { dataDir } = config`],
  ['share its process', 'src/modules/a/module.ts', `get('SERVICE')`, `get('service')`],
  ['own schema', 'src/modules/order/repository.ts', 'sql`select 1 from users.users`', 'sql`select 1 from orders.orders users`'],
  ['own schema', 'src/modules/order/tables.ts', `pgSchema('products')`, `pgSchema('orders')`],
]

t.test('each rule finds its violation and accepts correct code', async (t) => {
  for (const [name, path, bad, good] of samples) {
    const [rule, ...others] = every.filter((candidate) => candidate.rule.includes(name))
    if (!rule || others.length > 0) throw new Error(`"${name}" does not match exactly one rule`)
    t.not(rule.find(parseSource(path, bad)).length, 0, `${name}: ${bad}`)
    t.same(rule.find(parseSource(path, good)), [], `${name}: ${good}`)
  }
  const tried = every.filter(({ rule }) => samples.some(([name]) => rule.includes(name)))
  t.equal(tried.length, every.length, 'every rule has a sample')
  const circle = [parseSource('src/a.ts', `import './b.ts'`), parseSource('src/b.ts', `import type { A } from './a.ts'`)]
  t.same(findCycles(circle), [['src/a.ts', 'src/b.ts', 'src/a.ts']])
})
