import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync, Visitor } from 'oxc-parser'

/** One import: import, export from, import(), or import('…') as a type. */
export interface Import {
  readonly specifier: string
  /** Path in the repository, such as `src/app/app.ts`; undefined for a package. */
  readonly file: string | undefined
  readonly typeOnly: boolean
  readonly line: number
}

/** The parts of a source file that the rules check, each with its line. */
export interface Source {
  /** Path in the repository, such as `src/modules/order/service.ts`. */
  readonly path: string
  /** The folder below src/modules, if the file is in one. */
  readonly module: string | undefined
  readonly imports: readonly Import[]
  /** Member accesses and destructured properties: `config.selected` is { object: 'config', property: 'selected' }. */
  readonly members: readonly { readonly object: string; readonly property: string; readonly line: number }[]
  /** Names of called methods. */
  readonly methods: readonly { readonly object: string; readonly name: string; readonly line: number }[]
  /** Every string and every piece of template text. */
  readonly texts: readonly { readonly text: string; readonly line: number }[]
}

export const root = fileURLToPath(new URL('..', import.meta.url))

interface Node {
  readonly type: string
  readonly name?: unknown
  readonly value?: unknown
  readonly property?: unknown
}

/** The last name of an expression: `env` for `process.env`. */
const nameOf = ({ type, name, value, property }: Node): string =>
  type === 'MemberExpression' ? nameOf(property as Node) : String(name ?? value ?? '')

/** Parses TypeScript, so that comments and strings do not count as code. @throws Error on a syntax error */
export const parseSource = (path: string, text: string): Source => {
  const { program, module, errors } = parseSync(path, text)
  if (errors[0]) throw new Error(`${path}: ${errors[0].message}`)
  const lineOf = (offset: number) => text.slice(0, offset).split('\n').length

  const imports: Import[] = []
  const add = (specifier: string, typeOnly: boolean, start: number) =>
    imports.push({
      specifier,
      file: specifier.startsWith('.') ? join(dirname(path), specifier) : undefined,
      typeOnly,
      line: lineOf(start),
    })
  for (const { moduleRequest, entries, start } of module.staticImports)
    add(moduleRequest.value, entries.length > 0 && entries.every(({ isType }) => isType), start)
  for (const { entries, start } of module.staticExports) {
    const from = entries.find(({ moduleRequest }) => moduleRequest)?.moduleRequest
    if (from)
      add(
        from.value,
        entries.every(({ isType }) => isType),
        start,
      )
  }

  const members: Source['members'][number][] = []
  const methods: Source['methods'][number][] = []
  const texts: Source['texts'][number][] = []
  const addProperties = (object: string, properties: readonly { type: string; key?: Node; start: number }[]) => {
    for (const { key, start } of properties) if (key) members.push({ object, property: nameOf(key), line: lineOf(start) })
  }
  new Visitor({
    ImportExpression: ({ source, start }) => add(nameOf(source), false, start),
    TSImportType: ({ source, start }) => add(source.value, true, start),
    MemberExpression: ({ object, property, start }) =>
      members.push({ object: nameOf(object), property: nameOf(property), line: lineOf(start) }),
    VariableDeclarator: ({ id, init }) => {
      if (id.type === 'ObjectPattern' && init) addProperties(nameOf(init), id.properties)
    },
    ObjectPattern: ({ properties }) => addProperties('', properties),
    CallExpression: ({ callee, start }) => {
      if (callee.type === 'MemberExpression')
        methods.push({ object: nameOf(callee.object), name: nameOf(callee.property), line: lineOf(start) })
    },
    Literal: ({ value, start }) => {
      if (typeof value === 'string') texts.push({ text: value, line: lineOf(start) })
    },
    TemplateElement: ({ value, start }) => texts.push({ text: value.raw, line: lineOf(start) }),
  }).visit(program)

  return { path, module: /^src\/modules\/([^/]+)\//.exec(path)?.[1], imports, members, methods, texts }
}

/** Every source file. */
export const readSources = (): Source[] =>
  globSync('src/**/*.ts', { cwd: root })
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')))

/** The PostgreSQL schema of each module, from its tables.ts. */
export const readSchemas = (modules: readonly string[]): Map<string, string[]> =>
  new Map(
    modules.map((name) => {
      const file = join(root, `src/modules/${name}/tables.ts`)
      const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
      return [name, [...text.matchAll(/pgSchema\('([^']+)'\)/g)].map(([, schema]) => schema as string)]
    }),
  )
