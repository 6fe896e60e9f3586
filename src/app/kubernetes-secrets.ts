import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { type DataKeySet, dataKeysFile, initKeys, privateFile, publicFile } from '../platform/keys/key-files.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { holdsDataKeys, signingKeysOf } from './required-keys.ts'

/** Where Kubernetes mounts a pod's credentials for its API. */
const credentialsFolder = '/var/run/secrets/kubernetes.io/serviceaccount'
const attempts = 10

/** The relevant part of a Kubernetes Secret; `data` is base64. */
interface Secret {
  metadata: { name: string; resourceVersion?: string; labels?: Record<string, string> }
  data?: Record<string, string>
}

interface Secrets {
  get(name: string): Promise<Secret | undefined>
  /** Creates it, or updates the version that was read. @throws Changed if another process was faster */
  put(secret: Secret): Promise<void>
  close(): Promise<void>
}

/** Another process has written the Secret since it was read. */
class Changed extends Error {}

interface ApiOptions {
  readonly url: string
  /** Contains `token`, `ca.crt` and `namespace`. */
  readonly credentials: string
}

const connectSecrets = async ({ url, credentials }: ApiOptions): Promise<Secrets> => {
  const read = async (file: string): Promise<string> => {
    const path = join(credentials, file)
    return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new KeysError(`${path} cannot be read (${error.code}): the pod's service account is not mounted`)
    })
  }
  const token = (await read('token')).trim()
  const base = `/api/v1/namespaces/${(await read('namespace')).trim()}/secrets`
  const agent = new Agent({
    connect: { ca: await read('ca.crt'), timeout: 5000 },
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
  })

  const send = async (method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${token}`, accept: 'application/json', 'content-type': 'application/json' }
    try {
      const answer = await request(`${url}${path}`, {
        method,
        headers,
        dispatcher: agent,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.statusCode, text: await answer.body.text() }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw new KeysError(`the Kubernetes API at ${url} does not respond (${code ?? message})`)
    }
  }
  const refusal = (status: number, text: string): KeysError => {
    try {
      return new KeysError(`the Kubernetes API returned ${status}: ${JSON.parse(text).message}`)
    } catch {
      return new KeysError(`the Kubernetes API returned ${status}`)
    }
  }

  return {
    get: async (name) => {
      const { status, text } = await send('GET', `${base}/${name}`)
      if (status === 404) return undefined
      if (status !== 200) throw refusal(status, text)
      return JSON.parse(text) as Secret
    },
    put: async (secret) => {
      const { name, resourceVersion } = secret.metadata
      const object = { apiVersion: 'v1', kind: 'Secret', ...secret }
      const { status, text } = resourceVersion ? await send('PUT', `${base}/${name}`, object) : await send('POST', base, object)
      // 404: the Secret that was read has been deleted.
      if (status === 409 || (status === 404 && resourceVersion)) throw new Changed()
      if (status !== 200 && status !== 201) throw refusal(status, text)
    },
    close: () => agent.close(),
  }
}

/** The key files that a service's process needs. */
const filesOf = (service: string): string[] => [
  publicFile,
  ...signingKeysOf(service).map(privateFile),
  ...(holdsDataKeys(service) ? [dataKeysFile] : []),
]

type Files = Record<string, string>

/** Adds missing keys to these files, base64 by name. */
const completed = async (files: Files, services: readonly string[]): Promise<Files> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-keys-'))
  try {
    for (const [file, content] of Object.entries(files))
      await writeFile(join(folder, file), Buffer.from(content, 'base64'), { mode: 0o600 })
    await initKeys(folder, services)
    const names = (await readdir(folder)).sort()
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'base64')])))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const isKeyFile = (name: string): boolean => /^[a-z][a-z-]*(\.private)?\.json$/.test(name)
const keyFilesIn = (secret: Secret | undefined): Files =>
  Object.fromEntries(Object.entries(secret?.data ?? {}).filter(([name]) => isKeyFile(name)))

const ringIds = (files: Files): string[] => {
  const content = files[dataKeysFile]
  return content ? (JSON.parse(Buffer.from(content, 'base64').toString()) as DataKeySet).keys.map(({ id }) => id) : []
}

/** Must never happen: a service that gets fewer keys than it needs, or personal data that cannot be decrypted any more. */
const check = (files: Files, prefix: string, services: readonly string[], copies: readonly (Secret | undefined)[]): void => {
  const missing = new Set(services.flatMap(filesOf).filter((file) => !(file in files)))
  if (missing.size > 0)
    throw new KeysError(`Secret ${prefix} lacks ${[...missing].join(', ')}, whose public keys are in use: restore it`)
  const known = new Set(ringIds(files))
  for (const copy of copies) {
    if (ringIds(keyFilesIn(copy)).some((id) => !known.has(id)))
      throw new KeysError(`Secret ${copy?.metadata.name} has keys in ${dataKeysFile} that ${prefix} lacks: add them there`)
  }
}

const labels = { 'app.kubernetes.io/managed-by': 'orderhub-keys', 'app.kubernetes.io/part-of': 'orderhub' }

/** Ensures that a Secret contains these files, and keeps its other entries. @returns whether it was written */
const ensure = async (secrets: Secrets, name: string, before: Secret | undefined, files: Files): Promise<boolean> => {
  if (before && Object.entries(files).every(([file, content]) => before.data?.[file] === content)) return false
  const metadata = before?.metadata ?? { name }
  await secrets.put({
    ...before,
    metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
    data: { ...before?.data, ...files },
  })
  return true
}

const fill = async (secrets: Secrets, prefix: string, services: readonly string[]): Promise<string[]> => {
  const all = await secrets.get(prefix)
  const copies = await Promise.all(services.map((service) => secrets.get(`${prefix}-${service}`)))
  // The Secret with all keys is the source of truth; a copy restores what is missing there.
  const found = [...copies, all].reduce<Files>((files, secret) => Object.assign(files, keyFilesIn(secret)), {})
  const files = await completed(found, services)
  check(files, prefix, services, copies)
  const written = (await ensure(secrets, prefix, all, files)) ? [prefix] : []
  for (const [index, service] of services.entries()) {
    const name = `${prefix}-${service}`
    const own = Object.fromEntries(filesOf(service).map((file) => [file, files[file] as string]))
    if (await ensure(secrets, name, copies[index], own)) written.push(name)
  }
  return written
}

/** The address of the Kubernetes API, from a container's environment. @throws KeysError outside of a pod */
export const apiUrl = (env: Readonly<Record<string, string | undefined>>): string => {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  if (!host) throw new KeysError('KUBERNETES_SERVICE_HOST is missing: this command runs in a pod')
  return `https://${host.includes(':') ? `[${host}]` : host}:${port ?? '443'}`
}

/**
 * Keeps the keys in Secrets of the pod's namespace: all of them in PREFIX, and in PREFIX-<service> those of that service. Adds
 * missing keys and never replaces one. Safe to run in several processes. @returns the Secrets that were written.
 * @throws KeysError with the error of the Kubernetes API
 */
export const keepKeysInSecrets = async (
  prefix: string,
  services: readonly string[],
  url: string,
  credentials = credentialsFolder,
): Promise<string[]> => {
  const secrets = await connectSecrets({ url, credentials })
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await fill(secrets, prefix, services)
      } catch (error) {
        if (!(error instanceof Changed)) throw error
        if (attempt === attempts) throw new KeysError(`other processes keep changing the Secrets ${prefix}`)
        await setTimeout(Math.random() * 100 * attempt)
      }
    }
  } finally {
    await secrets.close()
  }
}
