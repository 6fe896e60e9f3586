// npm run e2e:compose: builds the image, and tests docker-compose.yml in both topologies through nginx with TLS.
import { setDefaultCACertificates } from 'node:tls'
import t, { type Test } from 'tap'
import { contractSuite } from '../contract/suite.ts'
import { containerSuite } from './containers.ts'
import { type Composition, docker, startComposition, type Variables } from './docker.ts'
import { edgeSuite } from './edge.ts'
import { imageSuite } from './image.ts'
import { journeySuite, signInByMail, signInWith } from './journey.ts'
import { composeProviders, readSink } from './providers.ts'

const image = 'ghcr.io/orderhub/orderhub:e2e'
const url = 'https://127.0.0.1:8443'
const mailUrl = 'http://127.0.0.1:1080'
/** Environment variables of the shell. */
const shell: Variables = {
  ORDERHUB_IMAGE: image,
  SMS_URL: 'http://sink:8080/messages',
  RATE_LIMIT_PER_MINUTE: '1000000',
}

t.setTimeout(3_600_000)

const started = async (t: Test, profile: Composition['profile'], env: Variables): Promise<Composition> => {
  const composition = await startComposition(profile, env)
  t.teardown(() => composition.stop())
  setDefaultCACertificates([await composition.inside('nginx', 'cat', '/certificate/tls.crt')])
  return composition
}

await t.test('the image', async (t) => {
  await docker(['build', '--quiet', '--tag', image, '.'])
  await imageSuite(t, image)
})

for (const profile of ['split', 'monolith'] as const) {
  await t.test(profile, async (t) => {
    const traced = profile === 'monolith'
    const composition = await started(t, profile, {
      ...shell,
      ...(traced ? { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://sink:8080' } : {}),
    })
    const running = (await composition.compose('ps', '--services')).split('\n').sort()
    t.same(running, [...composition.services, 'mail', 'nginx', 'postgres', 'redis', 'sink'].sort())
    const sinkUrl = `http://${await composition.addressOf('sink', 8080)}`
    const providers = composeProviders(mailUrl, sinkUrl)
    const identity = await signInByMail(url, mailUrl)
    const service = profile === 'split' ? 'api-gateway' : 'orderhub'
    const target = { url, service, identity, providers }
    await t.test('contract', (t) => contractSuite(t, target))
    await t.test('edge', (t) => edgeSuite(t, composition))
    await t.test('journey', (t) => journeySuite(t, composition, target, mailUrl))
    await t.test('containers', (t) => containerSuite(t, composition))
    t.equal(readSink(sinkUrl).traces > 0, traced, 'traces are sent to OTEL_EXPORTER_OTLP_ENDPOINT')
  })
}

await t.test('environment variables of the shell configure the services', async (t) => {
  const admin = { ADMIN_EMAIL: 'owner@example.com', ADMIN_PASSWORD: 'a quiet harbour 7' }
  const composition = await started(t, 'split', { ...shell, ...admin, LOG_LEVEL: 'debug', SEED: 'false' })
  for (const service of composition.services) t.equal(await composition.inside(service, 'printenv', 'LOG_LEVEL'), 'debug')
  const identity = await signInWith(url, admin.ADMIN_EMAIL, admin.ADMIN_PASSWORD)
  const products = await fetch(`${url}/api/v1/products`)
  t.same(await products.json(), { success: true, data: [], count: 0 })
  t.equal((await fetch(`${url}/api/v1/users`, { headers: identity })).status, 200)
})
