import { readFileSync, statSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { createSecureContext, type TlsOptions } from 'node:tls'
import type { Logger } from 'pino'
import { buildConnector } from 'undici'
import { isReadByAll, stateOf, statOf } from '../keys/file-state.ts'
import { KeysError } from '../keys/keys-error.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly caFile: string
}

export interface Tls {
  /** For a server that requests client certificates, and checks `authorized` itself. */
  serverOptions(): TlsOptions
  /** Updates the server's certificate from the files; open connections stay. */
  follow(server: Server): void
  /** Opens connections with the current certificate, to servers whose certificate one of the authorities has signed. */
  readonly connector: buildConnector.connector
  close(): void
}

const lookEveryMs = 1000

interface Material {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

const versions = { minVersion: 'TLSv1.2' } as const

/** @throws Error if a file cannot be read, or the key does not fit the certificate */
const read = ({ certFile, keyFile, caFile }: TlsFiles): Material => {
  const material = {
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    ca: readFileSync(caFile, 'utf8'),
  }
  createSecureContext({ ...material, ...versions })
  return material
}

const stateOfAll = ({ certFile, keyFile, caFile }: TlsFiles): string =>
  [certFile, keyFile, caFile].map((file) => stateOf(statOf(file))).join()

export interface TlsOptionsOf {
  readonly files: TlsFiles
  /** Refuses a private key that everybody can read. */
  readonly strict: boolean
  readonly log: Logger
  /** Time limit for opening a connection, in milliseconds. */
  readonly connectTimeoutMs: number
}

/** Mutual TLS with three files, which are reloaded when they change. @throws KeysError if they cannot be used */
export const createTls = ({ files, strict, log, connectTimeoutMs }: TlsOptionsOf): Tls => {
  const connectorOf = (material: Material) =>
    buildConnector({ ...material, ...versions, timeout: connectTimeoutMs, allowH2: false })
  const servers: TlsServer[] = []
  let state = stateOfAll(files)
  let material: Material
  try {
    material = read(files)
  } catch (error) {
    const names = `TLS_CERT_FILE ${files.certFile}, TLS_KEY_FILE ${files.keyFile}, TLS_CA_FILE ${files.caFile}`
    throw new KeysError(`${names} cannot be used (${(error as Error).message})`)
  }
  if (strict && isReadByAll(statSync(files.keyFile)))
    throw new KeysError(`${files.keyFile} is readable by everybody: remove that permission (chmod o= ${files.keyFile})`)
  let connect = connectorOf(material)

  const reload = () => {
    const now = stateOfAll(files)
    if (now === state) return
    state = now
    try {
      material = read(files)
      for (const server of servers) server.setSecureContext({ ...material, ...versions })
      connect = connectorOf(material)
      log.info('reloaded the certificate files')
    } catch (error) {
      // The three files are not replaced atomically: the next check finds them complete.
      log.warn({ err: error }, 'reloading the certificate files failed; keeping the old ones')
    }
  }
  const timer = setInterval(reload, lookEveryMs).unref()

  return {
    serverOptions: () => ({ ...material, ...versions, requestCert: true, rejectUnauthorized: false }),
    follow: (server) => void servers.push(server as TlsServer),
    connector: (options, callback) => connect(options, callback),
    close: () => clearInterval(timer),
  }
}
