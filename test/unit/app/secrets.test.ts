import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { readersOf, secretKeys } from '../../../src/config/secret-files.ts'
import { serviceNames } from '../../../src/environment.ts'

/** The secrets that a service reads, according to the configuration. */
const secretsOf = (service: string): string[] => secretKeys.filter((key) => readersOf(key)?.includes(service) ?? true).sort()

t.test('the chart gives each service exactly the secrets that it reads', (t) => {
  const template = readFileSync('charts/orderhub/templates/_modules.tpl', 'utf8')
  const [, table = ''] = /define "orderhub.secretKeys" -\}\}\n([\s\S]*?)\{\{- end/.exec(template) ?? []
  const given = parse(table) as Record<string, string[]>
  t.same(Object.keys(given).sort(), [...serviceNames].sort())
  // ADMIN_EMAIL is passed together with the password.
  for (const service of serviceNames)
    t.same(given[service]?.filter((key) => key !== 'ADMIN_EMAIL').sort(), secretsOf(service), service)
  t.end()
})

t.test('so does the GitOps base, and only the migrations read a whole Secret', (t) => {
  const documents = readdirSync('deploy/gitops/base').flatMap((file) =>
    parseAllDocuments(readFileSync(`deploy/gitops/base/${file}`, 'utf8')).map((document) => document.toJS()),
  )
  for (const service of serviceNames) {
    const { spec } = documents.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === `orderhub-${service}`)
    const [{ env, envFrom }] = spec.template.spec.containers
    const names = env.map(({ name }: { name: string }) => name).filter((name: string) => secretKeys.includes(name))
    t.same(names.sort(), secretsOf(service), service)
    t.same(
      envFrom.filter((source: { secretRef?: unknown }) => source.secretRef),
      [],
      service,
    )
  }
  t.end()
})

t.test('so does the compose file', (t) => {
  const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
    services: Record<string, { environment?: Record<string, string | null> }>
  }
  const given = (name: string) => Object.keys(services[name]?.environment ?? {}).filter((key) => secretKeys.includes(key))
  for (const service of serviceNames) {
    // Each service has its own database.
    const own = secretsOf(service).filter((key) => key !== 'DATABASE_URL')
    t.same(given(service).sort(), own, service)
  }
  t.same(given('monolith').sort(), secretKeys.filter((key) => key !== 'DATABASE_URL').sort())
  t.same(
    given('migrate').filter((key) => !key.endsWith('_DATABASE_URL')),
    [],
  )
  for (const other of Object.keys(services).filter((name) => !['monolith', 'migrate', ...serviceNames].includes(name)))
    t.same(given(other), [], other)
  t.end()
})
