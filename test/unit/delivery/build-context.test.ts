import { globSync, readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import t from 'tap'
import { root } from '../../../testing/source.ts'

const lines = (file: string): string[] =>
  readFileSync(join(root, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))

const rules = lines('.dockerignore').map((line) => ({ pattern: line.replace(/^!/, ''), isSent: line.startsWith('!') }))

/** The last pattern that matches a path or a folder above it applies: https://docs.docker.com/build/concepts/context/#dockerignore-files */
const isSent = (path: string): boolean => {
  const names = path.split('/')
  const paths = names.map((_, index) => names.slice(0, index + 1).join('/'))
  return rules.findLast(({ pattern }) => paths.some((one) => matchesGlob(one, pattern)))?.isSent ?? true
}

t.test('the build context has every file that the Dockerfile copies', (t) => {
  const copied = lines('Dockerfile')
    .filter((line) => /^COPY (?!--from)/.test(line))
    .flatMap((line) => line.split(' ').slice(1, -1))
  t.ok(copied.includes('src'))
  for (const path of copied) {
    t.same(globSync(path, { cwd: root }), [path], 'exists')
    t.ok(isSent(path), `${path} is in the build context`)
  }
  t.end()
})

t.test('the build context has nothing else', (t) => {
  for (const path of ['README.md', 'test/compose/run.ts', 'scripts/generate.ts', 'node_modules/tap/package.json'])
    t.notOk(isSent(path), path)
  t.end()
})
