import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { type ServiceName, serviceNames, storingServices } from '../../../src/environment.ts'

const textOf = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const sorted = (names: Iterable<string>) => [...names].toSorted()
const services = sorted(serviceNames)
const withMonolith = sorted([...serviceNames, 'monolith'])

/** The names in the first group of `form`, with any separator. */
const namesIn = (text: string, form: RegExp): string[] => sorted(form.exec(text)?.[1]?.match(/[a-z]+/g) ?? [])

t.test('hand-written lists of services match the registry', async (t) => {
  t.same(sorted(Object.keys(parse(textOf('charts/orderhub/values.yaml')).services)), services, 'values of the chart')
  t.same(namesIn(textOf('deploy/compose/keys.sh'), /for service in ([a-z ]+);/), services, 'key folders')
  t.same(namesIn(textOf('deploy/compose/observability/prometheus.yml'), /- names: \[([^\]]+)\]/), withMonolith, 'targets')
  const databases = [...textOf('deploy/compose/postgres/databases.sh').matchAll(/^database ([a-z]+) /gm)].map(
    ([, name]) => name as string,
  )
  t.same(sorted(databases), sorted(storingServices), 'databases')
  for (const file of ['main.tf', 'variables.tf', 'tests/orderhub.tftest.hcl']) {
    const lists = [...textOf(`deploy/terraform/modules/orderhub/${file}`).matchAll(/\["gateway"[^\]]*\]/g)].map(([list]) => list)
    t.not(lists.length, 0, file)
    for (const list of lists) t.same(namesIn(list, /(.*)/), services, file)
  }
})

t.test('each service has one external Secret for its keys', async (t) => {
  const documents = parseAllDocuments(textOf('deploy/gitops/components/external-secrets/secrets.yaml'))
  const names = documents
    .map((document) => document.toJS()?.metadata?.name as string)
    .filter((name) => name?.startsWith('orderhub-keys-'))
  t.same(sorted(names.map((name) => name.replace('orderhub-keys-', ''))), services)
})

t.test('the compose file runs each service with its keys, its database and the addresses of the others', async (t) => {
  const { services: containers } = parse(textOf('docker-compose.yml'), { merge: true }) as {
    services: Record<
      string,
      { environment?: Record<string, string>; volumes?: { target?: string; volume?: { subpath?: string } }[] }
    >
  }
  const keyOf = (name: ServiceName, kind: string) => `${name.toUpperCase()}_${kind}_URL`
  for (const name of serviceNames) {
    const { environment = {}, volumes = [] } = containers[name] ?? {}
    t.equal(environment.SERVICE, name)
    t.equal(volumes.find(({ target }) => target === '/keys')?.volume?.subpath, name, `${name}: keys`)
    t.equal(keyOf(name, 'DATABASE') in environment, storingServices.includes(name), `${name}: database`)
    for (const other of serviceNames.filter((each) => each !== name && each !== 'gateway'))
      t.match(environment[keyOf(other, 'SERVICE')], `http://${other}:`, `${name}: address of ${other}`)
  }
})
