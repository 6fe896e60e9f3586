import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(file))
const pages = tracked.filter((file) => file.endsWith('.md') && !file.startsWith('test/'))

const folder = /^(?:src|test|testing|scripts|docs|deploy|charts|bench|drizzle|\.ci|\.github|\.devcontainer)\/[\w./-]*$/

/** Paths in backticks, such as `src/main.ts`; those with a placeholder or a wildcard are not paths. */
const namedPaths = (text: string): string[] =>
  [...text.matchAll(/`([^`\n]+)`/g)]
    .flatMap(([, code = '']) => code.split(/\s+/))
    .map((word) => word.replace(/[,;:.]+$/, ''))
    .filter((word) => folder.test(word))

const linkedPaths = (file: string, text: string): string[] =>
  [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => join(dirname(file), target))

const missingIn = (file: string, text: string): string[] =>
  [...namedPaths(text), ...linkedPaths(file, text)].filter((path) => !existsSync(path))

t.test('every path and link in the documentation exists', async (t) => {
  t.ok(pages.length > 50, `${pages.length} pages`)
  t.same(
    pages.flatMap((file) => missingIn(file, readFileSync(file, 'utf8')).map((path) => `${file}: ${path}`)),
    [],
  )
  const bad =
    'See `src/gone.ts`, run `node scripts/gone.ts x`, and read [this](gone.md#top). `src/modules/<name>/x.ts` is a pattern.'
  t.same(missingIn('docs/page.md', bad), ['src/gone.ts', 'scripts/gone.ts', 'docs/gone.md'])
})

/** Words with a plainer alternative. Only words that are never right belong here. */
const plainer: Readonly<Record<string, RegExp>> = {
  'anyone, or the role': /\bwhoever\b/i,
  'at most': /\bat the most\b/i,
  again: /\banew\b/i,
  that: /\bto the effect that\b/i,
}
const self = 'test/unit/delivery/docs.test.ts'
const isText = /\.(ts|js|mjs|md|gotmpl|tpl|ya?ml|sh|conf|sql|tf|hcl|txt)$|^[^.]*$/

const wordsIn = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, index) =>
      Object.entries(plainer).flatMap(([word, found]) => (found.test(line) ? [`${index + 1}: ${word}`] : [])),
    )

t.test('comments, documents and log lines use plain words', async (t) => {
  const files = tracked.filter((file) => isText.test(file) && file !== self)
  t.same(
    files.flatMap((file) => wordsIn(readFileSync(file, 'utf8')).map((found) => `${file}:${found}`)),
    [],
  )
  t.same(wordsIn('// Whoever asks.\nconst renewed = 1 // at most\nlog.warn("made anew")'), ['1: anyone, or the role', '3: again'])
})
