import type { Import, Source } from './source.ts'

export interface Rule {
  /** The rule, which is also the title of its test. */
  readonly rule: string
  /** How to fix a violation. */
  readonly advice: string
  readonly find: (source: Source) => readonly Finding[]
}

interface Finding {
  readonly line: number
  readonly what: string
}

const importsWhere =
  (applies: (source: Source) => boolean, forbidden: (entry: Import, source: Source) => boolean) => (source: Source) =>
    applies(source)
      ? source.imports
          .filter((entry) => forbidden(entry, source))
          .map(({ line, specifier }) => ({ line, what: `imports ${specifier}` }))
      : []

/** Programs. Only these read the environment and do something when they are imported. */
export const entries = /^src\/(main|migrate|keys|audit|seed|reset-admin|platform\/db\/embedded-postgres-host)\.ts$/
const holdsSql =
  /\/([\w-]*repository[\w-]*|[\w-]+\.sql|tables)\.ts$|^src\/app\/(database-logins|migrations|split-databases)\.ts$|^src\/platform\/(db\/(database|connection|session|startup|with-relay)|queue\/postgres-[\w-]+|boot\/package-loading)\.ts$/
/** Programs, their commands, hand-edited tables, and the composition root: everything above the modules. */
const root = /^src\/((app|commands|config)\/)?[^/]+\.ts$/
const tables = /\/tables\.ts$/
const moduleOf = (file = ''): string | undefined => /^src\/modules\/([^/]+)\//.exec(file)?.[1]
const inModule = ({ module }: Source) => module !== undefined
const inPlatform = ({ path }: Source) => path.startsWith('src/platform/')
const configType = ({ file, typeOnly }: Import) => typeOnly && file === 'src/config.ts'

/**
 * The folders of platform/, lowest first. `vocabulary`: the files that are in no folder. `module`: module.ts, which is above all
 * others because it names everything that a module gets.
 */
const levels = [
  'vocabulary',
  'concurrency',
  'observability',
  'keys',
  'db',
  'queue',
  'events',
  'http',
  'auth',
  'upstream',
  'rpc',
  'audit',
  'boot',
  'module',
]
const levelOf = (file: string): number => {
  const [, folder] = /^src\/platform\/([^/]+)\/[^/]+\.ts$/.exec(file) ?? []
  if (folder) return levels.indexOf(folder)
  return levels.indexOf(file === 'src/platform/module.ts' ? 'module' : 'vocabulary')
}

export const rules: readonly Rule[] = [
  {
    rule: 'a module imports only the contract.ts of another module',
    advice: "declare an operation or an event in the other module's contract.ts, and name it in your dependencies.ts",
    find: importsWhere(inModule, ({ file = '' }, { module }) => {
      const other = moduleOf(file)
      return other !== undefined && other !== module && !/^src\/modules\/[^/]+\/contract\.ts$/.test(file)
    }),
  },
  {
    rule: 'a module does not know the application around it',
    advice:
      'take it from the context of `create`: src/app/app.ts passes it in. From src/config.ts, only the type Config may be imported',
    find: importsWhere(inModule, (entry) => root.test(entry.file ?? '') && !configType(entry)),
  },
  {
    rule: 'platform/ knows no module and nothing above it',
    advice: 'pass it in as a parameter, or move code that only one module needs into that module',
    find: importsWhere(
      inPlatform,
      (entry) => moduleOf(entry.file) !== undefined || (root.test(entry.file ?? '') && !configType(entry)),
    ),
  },
  {
    rule: 'inside platform/ no folder imports a higher one',
    advice: `a folder may import the folders before it: ${levels.join(', ')}`,
    find: importsWhere(inPlatform, ({ file = '' }, { path }) => {
      const [from, to] = [levelOf(path), levelOf(file)]
      return from === -1 || (file.startsWith('src/platform/') && (to === -1 || to > from))
    }),
  },
  {
    rule: 'no file imports a module.ts',
    advice: 'a module that is not selected must not be loaded: src/app/module-graph.ts imports modules by name',
    find: importsWhere(
      () => true,
      ({ file = '' }) => /^src\/modules\/[^/]+\/module\.ts$/.test(file),
    ),
  },
  {
    rule: 'a dependencies.ts is data: it imports only contracts',
    advice:
      'the registry also reads the dependencies of modules that a process does not run: move everything else out of dependencies.ts',
    find: importsWhere(
      ({ path }) => /^src\/modules\/[^/]+\/dependencies\.ts$/.test(path),
      ({ file = '' }) => !/^src\/(platform\/contract|modules\/[^/]+\/contract)\.ts$/.test(file),
    ),
  },
  {
    rule: 'a contract.ts is data: it imports only typebox, the schema helpers, its errors and other contracts',
    advice: 'a process also reads the contracts of modules that it does not run: move everything else out of contract.ts',
    find: importsWhere(
      ({ path }) => /^src\/modules\/[^/]+\/contract\.ts$/.test(path),
      ({ specifier, file }) =>
        file === undefined
          ? specifier !== 'typebox'
          : !/^src\/(platform\/(contract|schema|permission|locales|audit\/schema)|modules\/[^/]+\/(contract|errors))\.ts$/.test(
              file,
            ),
    ),
  },
  {
    rule: 'SQL is only in repository.ts, *.sql.ts and tables.ts',
    advice: "add a function with a meaningful name to the module's repository.ts",
    find: (source) =>
      holdsSql.test(source.path)
        ? []
        : [
            ...importsWhere(
              () => true,
              ({ specifier }) => /^(drizzle-orm|postgres|pg)(\/|$)/.test(specifier),
            )(source),
            ...source.methods
              .filter(({ object, name }) => /^(db|database|orm)$/.test(object) && /^(run|write|use|execute|unsafe)$/.test(name))
              .map(({ object, name, line }) => ({ line, what: `${object}.${name}()` })),
            ...source.texts
              .filter(({ text }) =>
                /^\s*(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|with\s.+\sas\s*\()\s/is.test(text),
              )
              .map(({ text, line }) => ({ line, what: text.trim().slice(0, 40) })),
          ],
  },
  {
    rule: 'tables.ts is imported only inside its own module',
    advice: 'tables are private: call the module that owns them through its contract',
    find: importsWhere(
      () => true,
      ({ file = '' }, { module }) => tables.test(file) && moduleOf(file) !== undefined && moduleOf(file) !== module,
    ),
  },
  {
    rule: 'one operation is one SQL statement: no begin, no transaction',
    advice: 'write one statement with data-modifying CTEs: see docs/adr/0002',
    find: ({ path, methods, texts }) =>
      path === 'src/app/migrations.ts'
        ? []
        : [
            ...methods
              .filter(({ name }) => /^(begin|beginDistributed|transaction|savepoint|reserve)$/.test(name))
              .map(({ name, line }) => ({ line, what: `.${name}()` })),
            ...texts
              .filter(({ text }) => /^\s*(begin|start\s+transaction|commit|rollback|savepoint\s+\w+)\s*;?\s*$/i.test(text))
              .map(({ text, line }) => ({ line, what: text.trim() })),
          ],
  },
  {
    rule: 'a condition that does not apply is omitted from the SQL',
    advice: 'list the conditions in `allOf`, and use `equals` for a value that may be undefined (src/platform/db/page.sql.ts)',
    find: ({ path, texts }) =>
      holdsSql.test(path) && path !== 'src/platform/db/page.sql.ts'
        ? texts.filter(({ text }) => text.trim() === 'true').map(({ line }) => ({ line, what: 'sql`true`' }))
        : [],
  },
  {
    rule: 'the environment is read only where a process starts',
    advice: 'add a key to src/config.ts and read it from the Config that is passed in',
    find: (source) =>
      entries.test(source.path)
        ? []
        : [
            ...source.members
              .filter(({ object, property }) => object === 'process' && property === 'env')
              .map(({ line }) => ({ line, what: 'process.env' })),
            ...importsWhere(
              () => true,
              ({ specifier }) => /^(node:)?process$/.test(specifier),
            )(source),
          ],
  },
  {
    rule: 'a hook of the server belongs to a named plugin',
    advice: 'wrap it in fastify-plugin with `name`, and with `dependencies` for the plugins that must come before it',
    find: ({ methods, imports }) =>
      imports.some(({ specifier }) => specifier === 'fastify-plugin')
        ? []
        : methods
            .filter(({ object, name }) => name === 'addHook' && object !== 'scope')
            .map(({ object, line }) => ({ line, what: `${object}.addHook()` })),
  },
  {
    rule: 'a module does not check which modules share its process',
    advice: 'let src/app/app.ts decide and pass the result in',
    find: ({ module, members, texts }) =>
      module === undefined
        ? []
        : [
            ...members
              .filter(({ property }) => /^(selected|serviceUrlOf|databaseUrlOf)$/.test(property))
              .map(({ object, property, line }) => ({ line, what: `${object}.${property}` })),
            ...texts
              .filter(({ text }) => /^([A-Z]+_)?SERVICE(_URL)?$/.test(text))
              .map(({ text, line }) => ({ line, what: `'${text}'` })),
          ],
  },
]

/** The SQL of a module names no schema of another module. `schemas` is by module. */
export const schemaRule = (schemas: ReadonlyMap<string, readonly string[]>): Rule => ({
  rule: "a module's SQL stays inside its own schema",
  advice: 'no join, key or query crosses a schema: call the other module, or store a copy of what you need',
  find: ({ module, path, texts }) => {
    if (module === undefined || !holdsSql.test(path)) return []
    const foreign = [...schemas].filter(([name]) => name !== module).flatMap(([, names]) => names)
    return texts.flatMap(({ text, line }) =>
      foreign
        .filter((schema) => new RegExp(`(^|[^\\w."])"?${schema}"?\\s*\\.\\s*"?\\w|^${schema}$`).test(text))
        .map((schema) => ({ line, what: `names the schema ${schema}` })),
    )
  },
})

/** Import cycles, each as one path. Imports of types count too. */
export const findCycles = (sources: readonly Source[]): string[][] => {
  const importsOf = new Map(sources.map(({ path, imports }) => [path, imports.flatMap(({ file }) => file ?? [])]))
  const done = new Set<string>()
  const cycles: string[][] = []
  const visit = (path: string, above: readonly string[]): void => {
    if (above.includes(path)) cycles.push([...above.slice(above.indexOf(path)), path])
    if (above.includes(path) || done.has(path)) return
    for (const next of importsOf.get(path) ?? []) visit(next, [...above, path])
    done.add(path)
  }
  for (const { path } of sources) visit(path, [])
  return cycles
}
