/**
 * Tests the policy of deploy/gitops against real signatures, offline: with Kyverno's CLI, a registry on 127.0.0.1, and a
 * certificate authority instead of Sigstore's. The test changes only the addresses of the images and the authority in the policy,
 * and turns off the transparency log.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import canonicalize from 'canonicalize'
import t from 'tap'
import { parse, stringify } from 'yaml'

const kyverno = (process.env.PATH ?? '').split(':').some((folder) => {
  try {
    execFileSync(join(folder, 'kubectl-kyverno'), ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

const github = 'https://token.actions.githubusercontent.com'
const publish = 'https://github.com/orderhub/orderhub/.github/workflows/publish.yml'
type Signature = { subject?: string; issuer?: string; stranger?: boolean; ofAnother?: boolean }
const cases: Record<string, Signature & { result: 'pass' | 'fail' }> = {
  released: { result: 'pass' },
  prerelease: { subject: `${publish}@refs/tags/v2.0.0-rc.1`, result: 'pass' },
  branch: { subject: `${publish}@refs/heads/main`, result: 'fail' },
  'branch-like-a-tag': { subject: `${publish}@refs/heads/refs/tags/v1.2.3`, result: 'fail' },
  'other-workflow': { subject: 'https://github.com/orderhub/orderhub/.github/workflows/ci.yml@refs/tags/v1.2.3', result: 'fail' },
  'other-repository': {
    subject: 'https://github.com/mallory/orderhub/.github/workflows/publish.yml@refs/tags/v1.2.3',
    result: 'fail',
  },
  'other-issuer': { issuer: 'https://accounts.example', result: 'fail' },
  'other-authority': { stranger: true, result: 'fail' },
  'signature-of-another-image': { ofAnother: true, result: 'fail' },
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
const pem = (key: KeyObject): string => key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }) as string

/** An authority that issues certificates like Fulcio's: the identity as URI, and its issuer as an extension. */
const createAuthority = (folder: string) => {
  mkdirSync(folder)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const ca = ['-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/O=test', '-addext', 'keyUsage=critical,keyCertSign', '-days', '1']
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...ca)
  return {
    certificate: new X509Certificate(readFileSync(join(folder, 'ca.pem'))),
    issue: (subject: string, issuer: string) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      writeFileSync(join(folder, 'leaf.key'), pem(privateKey))
      writeFileSync(
        join(folder, 'leaf.cnf'),
        [
          'keyUsage=critical,digitalSignature',
          'extendedKeyUsage=codeSigning',
          `subjectAltName=critical,URI:${subject}`,
          `1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:${issuer}`,
        ].join('\n'),
      )
      openssl('req', '-new', '-key', 'leaf.key', '-subj', '/', '-out', 'leaf.csr')
      openssl(
        'x509',
        '-req',
        '-in',
        'leaf.csr',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-days',
        '1',
        '-extfile',
        'leaf.cnf',
        '-out',
        'leaf.pem',
      )
      return { privateKey, certificate: new X509Certificate(readFileSync(join(folder, 'leaf.pem'))) }
    },
  }
}

/** Writes a repository of The Update Framework (TUF) with the trusted authority. @returns its root metadata */
const createTrust = (folder: string, authority: X509Certificate): string => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex')
  const key = { keytype: 'ed25519', scheme: 'ed25519', keyid_hash_algorithms: ['sha256', 'sha512'], keyval: { public: raw } }
  const keyid = sha256(canonicalize(key) as string)
  const expires = new Date(Date.now() + 86_400_000).toISOString().replace(/\.\d+/, '')
  const meta = (type: string, body: object): string => {
    const signed = { _type: type, spec_version: '1.0', version: 1, expires, ...body }
    const sig = sign(null, Buffer.from(canonicalize(signed) as string), privateKey).toString('hex')
    const text = JSON.stringify({ signed, signatures: [{ keyid, sig }] })
    writeFileSync(join(folder, `${type}.json`), text)
    return text
  }
  const described = (text: string) => ({ length: Buffer.byteLength(text), hashes: { sha256: sha256(text) } })
  const trusted = JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    certificateAuthorities: [
      {
        subject: { organization: 'test', commonName: 'test' },
        uri: 'https://authority.example',
        certChain: { certificates: [{ rawBytes: authority.raw.toString('base64') }] },
        validFor: { start: '2020-01-01T00:00:00Z' },
      },
    ],
  })
  const files = { 'trusted_root.json': trusted, 'fulcio.crt.pem': authority.toString() }
  mkdirSync(join(folder, 'targets'), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'targets', name), text)

  const role = { keyids: [keyid], threshold: 1 }
  const roles = { root: role, targets: role, snapshot: role, timestamp: role }
  const root = meta('root', { consistent_snapshot: false, keys: { [keyid]: key }, roles })
  const targets = meta('targets', {
    targets: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, described(text)])),
  })
  const snapshot = meta('snapshot', { meta: { 'targets.json': { version: 1, ...described(targets) } } })
  meta('timestamp', { meta: { 'snapshot.json': { version: 1, ...described(snapshot) } } })
  return root
}

/** The read API of an OCI registry: manifests, blobs and referrers. */
const createRegistry = async () => {
  const stored = new Map<string, { type: string; body: string }>()
  const referrers = new Map<string, object[]>()
  const put = (type: string, value: object) => {
    const body = JSON.stringify(value)
    const digest = `sha256:${sha256(body)}`
    stored.set(digest, { type, body })
    return { mediaType: type, digest, size: Buffer.byteLength(body) }
  }
  const manifestType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = (config: object, layers: object[], more: object = {}) =>
    put(manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers, ...more })
  const server = createServer(({ url = '', method }, response) => {
    const [, kind = '', reference = ''] = /\/(manifests|blobs|referrers)\/([^/?]+)/.exec(url) ?? []
    const found =
      kind === 'referrers'
        ? {
            type: 'application/vnd.oci.image.index.v1+json',
            body: JSON.stringify({
              schemaVersion: 2,
              mediaType: 'application/vnd.oci.image.index.v1+json',
              manifests: referrers.get(reference) ?? [],
            }),
          }
        : stored.get(reference)
    if (url === '/v2/') return response.end('{}')
    if (!found)
      return response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    response.writeHead(200, {
      'content-type': found.type,
      'content-length': Buffer.byteLength(found.body),
      'docker-content-digest': kind === 'referrers' ? '' : `sha256:${sha256(found.body)}`,
    })
    return response.end(method === 'HEAD' ? undefined : found.body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
    image: (name: string) => {
      const config = {
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { name } },
        rootfs: { type: 'layers', diff_ids: [] },
      }
      return manifest(put('application/vnd.oci.image.config.v1+json', config), [])
    },
    attach: (subject: { digest: string }, bundle: { mediaType: string }) => {
      const artifactType = bundle.mediaType
      const attached = manifest(put('application/vnd.oci.empty.v1+json', {}), [put(artifactType, bundle)], {
        artifactType,
        subject,
      })
      referrers.set(subject.digest, [...(referrers.get(subject.digest) ?? []), { ...attached, artifactType }])
    },
  }
}

/** A Sigstore bundle like that of `cosign sign`: an in-toto statement about the digest, in a DSSE envelope. */
const createBundle = (digest: string, { privateKey, certificate }: { privateKey: KeyObject; certificate: X509Certificate }) => {
  const payloadType = 'application/vnd.in-toto+json'
  const payload = JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: '', digest: { sha256: digest.replace('sha256:', '') } }],
    predicateType: 'https://sigstore.dev/cosign/sign/v1',
    predicate: {},
  })
  const encoded = `DSSEv1 ${payloadType.length} ${payloadType} ${Buffer.byteLength(payload)} ${payload}`
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { certificate: { rawBytes: certificate.raw.toString('base64') } },
    dsseEnvelope: {
      payload: Buffer.from(payload).toString('base64'),
      payloadType,
      signatures: [{ sig: sign('sha256', Buffer.from(encoded), privateKey).toString('base64') }],
    },
  }
}

t.test(
  'only images that the publish workflow signed at a tag are admitted',
  { skip: kyverno ? false : 'kubectl-kyverno is not installed' },
  async (t) => {
    const folder = t.testdir({ trust: {} })
    const authority = createAuthority(join(folder, 'authority'))
    const stranger = createAuthority(join(folder, 'stranger'))
    const root = createTrust(join(folder, 'trust'), authority.certificate)
    const registry = await createRegistry()
    t.teardown(registry.close)

    const policy = parse(readFileSync('deploy/gitops/policies/admission/image-signatures.yaml', 'utf8'))
    const anyKey = pem(createPublicKey(authority.certificate.publicKey.export({ type: 'spki', format: 'pem' })))
    policy.spec.matchImageReferences = [{ glob: `${registry.address}/orderhub/*` }]
    policy.spec.credentials = { allowInsecureRegistry: true }
    Object.assign(policy.spec.attestors[0].cosign, {
      tuf: { mirror: `file://${folder}/trust`, root: { data: Buffer.from(root).toString('base64') } },
      ctlog: {
        url: `http://${registry.address}`,
        insecureIgnoreTlog: true,
        insecureIgnoreSCT: true,
        rekorPubKey: anyKey,
        ctLogPubKey: anyKey,
      },
    })

    const pod = (name: string, image: string) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { containers: [{ name, image }] },
    })
    const pods = [pod('unsigned', `${registry.address}/orderhub/orderhub@${registry.image('unsigned').digest}`)]
    for (const [name, { subject = `${publish}@refs/tags/v1.2.3`, issuer = github, ...how }] of Object.entries(cases)) {
      const image = registry.image(name)
      const signed = how.ofAnother ? registry.image('another').digest : image.digest
      registry.attach(image, createBundle(signed, (how.stranger ? stranger : authority).issue(subject, issuer)))
      pods.push(pod(name, `${registry.address}/orderhub/orderhub@${image.digest}`))
    }
    const results = Object.entries({ unsigned: { result: 'fail' }, ...cases }).map(([name, { result }]) => ({
      ...{ policy: policy.metadata.name, isImageValidatingPolicy: true, kind: 'Pod' },
      ...{ resources: [name], result },
    }))
    const test = { apiVersion: 'cli.kyverno.io/v1alpha1', kind: 'Test', metadata: { name: 'signatures' } }
    writeFileSync(join(folder, 'policy.yaml'), stringify(policy))
    writeFileSync(join(folder, 'pods.yaml'), pods.map((manifest) => stringify(manifest)).join('---\n'))
    writeFileSync(
      join(folder, 'kyverno-test.yaml'),
      stringify({ ...test, policies: ['policy.yaml'], resources: ['pods.yaml'], results }),
    )

    const child = spawn('kubectl-kyverno', ['test', folder, '--registry', '--remove-color'], {
      env: { ...process.env, TUF_ROOT: join(folder, 'tuf'), NO_PROXY: '127.0.0.1' },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
    const [status] = await once(child, 'close')
    t.equal(status, 0, said)
    t.match(said, `${results.length} tests passed and 0 tests failed`)
  },
)
