import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { inspectConfig } from '../../../src/config.ts'
import { createAnchor } from '../../../src/modules/audit/sealing/anchor.ts'

const textOf = async (request: IncomingMessage) => Buffer.concat(await request.toArray()).toString()

/** A token service and a bucket on one port, which record the requests. */
const startCloud = async (t: Test) => {
  const asked: { token: string; role: string }[] = []
  const used: string[] = []
  const objects = new Map<string, string>()
  const cloud = { refuse: false, endsInMs: 3_600_000, asked, used, objects, url: '' }
  const server = createServer(async (request, response) => {
    const text = await textOf(request)
    if (request.url === '/') {
      const body = new URLSearchParams(text)
      asked.push({ token: String(body.get('WebIdentityToken')), role: String(body.get('RoleArn')) })
      if (cloud.refuse || body.get('Action') !== 'AssumeRoleWithWebIdentity')
        return response.writeHead(403).end('<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>')
      const until = new Date(Date.now() + cloud.endsInMs).toISOString()
      return response.end(
        `<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>id-${asked.length}</AccessKeyId>
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>session-${asked.length}</SessionToken>
        <Expiration>${until}</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>`,
      )
    }
    const name = String(request.url)
    const signer = /Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1]
    used.push(`${request.method} ${signer} ${request.headers['x-amz-security-token']}`)
    if (request.method === 'PUT') objects.set(name, text)
    const there = objects.get(name)
    if (there === undefined) return response.writeHead(404).end()
    return response.end(request.method === 'GET' ? there : '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  cloud.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return cloud
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')

t.test('the bucket is written with credentials exchanged for a token', async (t) => {
  const cloud = await startCloud(t)
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-identity-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'first\n')
  const { config, problems } = inspectConfig({
    SERVICE: 'audit',
    AUDIT_ANCHOR: `s3://trail/checkpoints?endpoint=${encodeURIComponent(cloud.url)}`,
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    AWS_ROLE_ARN: 'arn:aws:iam::1:role/audit',
    AWS_ENDPOINT_URL_STS: `${cloud.url}/`,
  })
  t.same(problems, [])
  const anchor = () => createAnchor({ address: config.auditAnchor as string, credentials: config.awsCredentials })

  const first = anchor()
  await first.put(1, hash('1'))
  await first.put(2, hash('2'))
  t.same(cloud.asked, [{ token: 'first', role: 'arn:aws:iam::1:role/audit' }], 'one exchange')
  t.same(new Set(cloud.used.splice(0)), new Set(['GET id-1 session-1', 'PUT id-1 session-1']))
  t.equal(cloud.objects.size, 2)

  cloud.endsInMs = 60_000
  writeFileSync(tokenFile, 'second\n')
  const soon = anchor()
  await soon.put(3, hash('3'))
  await soon.put(4, hash('4'))
  t.ok(cloud.asked.length > 2, 'credentials about to expire are renewed')
  t.equal(cloud.asked.at(-1)?.token, 'second', 'the file is read again')

  cloud.refuse = true
  const refused = anchor()
  await t.rejects(refused.put(5, hash('5')), { message: /gave no credentials: 403 AccessDenied$/ })
  cloud.refuse = false
  await refused.put(5, hash('5'))
  t.equal(cloud.objects.size, 5)
})

t.test('a bucket needs credentials, or a token file and a role', (t) => {
  const bucket = { SERVICE: 'audit', AUDIT_ANCHOR: 's3://trail/checkpoints' }
  t.match(inspectConfig(bucket).problems, [/AUDIT_ANCHOR: a bucket needs AWS_ACCESS_KEY_ID .*or AWS_WEB_IDENTITY_TOKEN_FILE/])
  t.match(inspectConfig({ ...bucket, AWS_WEB_IDENTITY_TOKEN_FILE: '/token' }).problems, [/AWS_ROLE_ARN missing/])
  t.end()
})
