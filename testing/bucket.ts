import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { atEnd } from './at-end.ts'
import { eventually } from './eventually.ts'
import { freePort } from './port.ts'

export interface TestBucket {
  /** The value for AUDIT_ANCHOR. */
  readonly address: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Sends a request to the bucket, signed by its owner. */
  request(path: string, init?: RequestInit): Promise<Response>
  stop(): Promise<void>
}

/** Whether versitygw is installed (`go install github.com/versity/versitygw/cmd/versitygw@latest`). */
export const hasBucket = (): boolean => spawnSync('versitygw', ['--version']).status === 0

/** A real S3-compatible server with one bucket with object lock. */
export const startBucket = async (): Promise<TestBucket> => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-bucket-'))
  const [data, versions, meta] = ['data', 'versions', 'meta'].map((name) => join(folder, name)) as [string, string, string]
  for (const path of [data, versions, meta]) mkdirSync(path)
  const port = await freePort()
  const credentials = { accessKeyId: 'anchor', secretAccessKey: 'anchor-secret' }
  const child = spawn(
    'versitygw',
    [
      '--port',
      `127.0.0.1:${port}`,
      '--access',
      'anchor',
      '--secret',
      'anchor-secret',
      'posix',
      '--versioning-dir',
      versions,
      '--sidecar',
      meta,
      data,
    ],
    { stdio: ['ignore', 'ignore', 'ignore'] },
  )
  const exited = once(child, 'exit')
  child.once(
    'exit',
    atEnd(() => child.kill('SIGKILL')),
  )
  const endpoint = `http://127.0.0.1:${port}`
  const client = new AwsClient({ ...credentials, service: 's3', region: 'us-east-1', retries: 0 })
  const request = (path: string, init: RequestInit = {}) => client.fetch(`${endpoint}/trail${path}`, init)
  await eventually(async () => {
    const answer = await request('', { method: 'PUT', headers: { 'x-amz-bucket-object-lock-enabled': 'true' } })
    if (!answer.ok && answer.status !== 409) throw new Error(`${answer.status} ${await answer.text()}`)
  })
  return {
    address: `s3://trail/checkpoints?endpoint=${encodeURIComponent(endpoint)}`,
    credentials,
    request,
    stop: async () => {
      child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
