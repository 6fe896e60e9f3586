import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'
import { analyse } from 'scslre'
import t from 'tap'
import { root } from '../../../testing/source.ts'

/** These match only configuration or our own text, not input of clients. */
const notOfClients: readonly string[] = [
  'src/config/urls.ts',
  'src/platform/upstream/upstream-url.ts',
  'src/modules/notification/account-message.ts',
]

/** The reasons for super-linear time; empty if there are none. */
const superLinear = (source: string, flags: string): string[] =>
  analyse({ source, flags }).reports.map(({ type, exponential }) => (exponential ? `${type}, exponential` : type))

interface Found {
  readonly place: string
  readonly source: string
  readonly flags: string
}

const inSource = (path: string): Found[] => {
  const found: Found[] = []
  const note = ({ regex }: { regex?: { pattern: string; flags: string } | null }) => {
    if (regex) found.push({ place: path, source: regex.pattern, flags: regex.flags })
  }
  new Visitor({ Literal: note as never }).visit(parseSync(path, readFileSync(join(root, path), 'utf8')).program)
  return found
}

const patternsOf = (value: unknown): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([key, item]) => (key === 'pattern' && typeof item === 'string' ? [item] : patternsOf(item)))

t.test('the analysis finds expressions that were slow here', async (t) => {
  for (const [source, flags] of [
    ['[^/]*%[^/]*', 'g'],
    ['\\s*;\\s*', ''],
    ['^https?:\\/\\/[^/?#\\\\]+([^#]*)$', 'i'],
    ['^(a+)+$', ''],
  ] as const)
    t.not(superLinear(source, flags).length, 0, source)
})

t.test('every regular expression takes linear time', async (t) => {
  const literals = globSync('src/**/*.ts', { cwd: root }).flatMap(inSource)
  const patterns = patternsOf(JSON.parse(readFileSync(join(root, 'docs/openapi.json'), 'utf8')))
  const all = [...literals, ...patterns.map((source) => ({ place: 'docs/openapi.json', source, flags: 'u' }))]
  t.ok(literals.length > 80 && patterns.length > 0, `${literals.length} and ${patterns.length}`)
  for (const { place, source, flags } of all.filter((each) => !notOfClients.includes(each.place)))
    t.same(superLinear(source, flags), [], `${place}: /${source}/${flags}`)
})
