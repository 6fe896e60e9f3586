import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire, registerHooks } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** openapi-typescript needs the JavaScript API of TypeScript, which TypeScript 7 lacks: this is an older version. */
const compiler = join(dirname(createRequire(import.meta.url).resolve('@ts-morph/common')), 'typescript.js')
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'typescript'
      ? { url: pathToFileURL(compiler).href, format: 'commonjs', shortCircuit: true }
      : next(specifier, context),
})

const client = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.ts'

const client = createClient<paths>({ baseUrl: 'http://127.0.0.1:5000' })

const { data, error } = await client.GET('/api/v1/products')
export const prices: number[] | undefined = data?.data.map(({ price }) => price)
export const next: string | undefined = data?.next_cursor
export const code: string | undefined = error?.code
// @ts-expect-error a field that no product has
data?.data.map(({ prize }) => prize)

await client.GET('/api/v1/products', { params: { query: { limit: 5, search: 'lamp' } } })
// @ts-expect-error a number
await client.GET('/api/v1/products', { params: { query: { limit: 'five' } } })
// @ts-expect-error no such path
await client.GET('/api/v1/product')
// @ts-expect-error an id is needed
await client.GET('/api/v1/products/{id}')

const { data: placed } = await client.POST('/api/v1/orders', {
  params: { header: { 'idempotency-key': 'order-1' } },
  body: { items: [{ product_id: 2, quantity: 2 }] },
})
export const order: components['schemas']['Order'] | undefined = placed?.data
// @ts-expect-error a field that is misspelt
await client.POST('/api/v1/orders', { body: { items: [{ product_id: 2, quantitty: 2 }] } })
`

t.test('a client that is generated from the OpenAPI document compiles, and wrong calls do not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-client-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { default: generate, astToString } = await import('openapi-typescript')
  const types = astToString(await generate(JSON.parse(await readFile(join(root, 'docs/openapi.json'), 'utf8'))))
  await writeFile(join(folder, 'api.ts'), types)
  await writeFile(join(folder, 'client.ts'), client)
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  await cp(join(root, 'tsconfig.json'), join(folder, 'tsconfig.base.json'))
  await writeFile(join(folder, 'tsconfig.json'), '{ "extends": "./tsconfig.base.json", "include": ["*.ts"] }')

  // Runs the executable directly: a Node.js script that starts it would load the test runner's hooks.
  const path = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib/getExePath.js')
  const { default: getExePath } = (await import(pathToFileURL(path).href)) as { default: () => string }
  const faults = await new Promise<string>((resolve) => {
    execFile(getExePath(), ['-p', folder], (error, stdout) => resolve(error ? stdout || String(error) : ''))
  })
  t.equal(faults, '')
})
