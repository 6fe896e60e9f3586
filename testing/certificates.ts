import { spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface Pair {
  readonly certFile: string
  readonly keyFile: string
}

export interface Authority {
  readonly caFile: string
  /** A certificate for the given names, such as `IP:127.0.0.1`, for servers and clients. */
  issue(name: string, subjectAltName?: string): Pair
}

const openssl = (...args: string[]): void => {
  const { status, stderr } = spawnSync('openssl', args)
  if (status !== 0) throw new Error(String(stderr))
}

export const hasOpenssl = (): boolean => spawnSync('openssl', ['version']).status === 0

/** A folder for certificates; removed when the test ends. */
export const certificateFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** A self-signed certificate. */
export const selfSigned = (folder: string, name: string): Pair => {
  const pair = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) }
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  openssl('req', '-x509', ...newKey, '-days', '2', ...subject, '-keyout', pair.keyFile, '-out', pair.certFile)
  return pair
}

/** A new certificate authority. */
export const createAuthority = (folder: string, name: string): Authority => {
  const caFile = join(folder, `${name}.pem`)
  const caKey = join(folder, `${name}.key`)
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`, '-keyout', caKey, '-out', caFile)
  return {
    caFile,
    issue: (of, subjectAltName = 'IP:127.0.0.1') => {
      const base = join(folder, `${name}-${of}`)
      const pair = { certFile: `${base}.pem`, keyFile: `${base}.key` }
      writeFileSync(`${base}.ext`, `subjectAltName=${subjectAltName}\nextendedKeyUsage=serverAuth,clientAuth\n`)
      openssl('req', ...newKey, '-subj', `/CN=${of}`, '-keyout', pair.keyFile, '-out', `${base}.csr`)
      const signed = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', `${base}.ext`]
      openssl('x509', '-req', '-in', `${base}.csr`, ...signed, '-out', pair.certFile)
      return pair
    },
  }
}

/** Replaces a file atomically, as the kubelet does. */
export const replaceFile = (path: string, text: string | Buffer): void => {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}
