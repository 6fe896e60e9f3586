import { readFileSync } from 'node:fs'
import t from 'tap'
import { Environment } from '../../../src/environment.ts'

const file = readFileSync(new URL('../../../docker-compose.yml', import.meta.url), 'utf8')

/** Set by the container: where it listens, and its mounts. The same variables in a shell mean something else. */
const ofTheContainer = ['NODE_ENV', 'SERVICE', 'HOST', 'PORT', 'METRICS_PORT', 'DATA_DIR', 'KEYS_DIR']
/** In the shell, it sets the database of all services. */
const forAll = 'DATABASE_URL'

/** The keys of all services, or of one, that take the shell's value. */
const passedOn = (text: string): string[] => {
  const blocks = [...text.matchAll(/^x-[a-z-]+: &(?:environment|with-redis|of-[a-z]+)\n((?: .*\n)+)/gm)].map(([, block]) => block)
  return [...blocks.join('').matchAll(/^ {2}([A-Z_]+):(?: \$\{\1:-[^}]*\})?$/gm)].map(([, key]) => key as string)
}

t.test('the services get every configuration key from the shell', (t) => {
  const known = passedOn(file)
  const perService = [...file.matchAll(/^ {2}([A-Z]+_DATABASE_URL): &\S+ \$\{\1:-/gm)].map(([, key]) => key as string)
  const missing = Object.keys(Environment.properties).filter(
    (key) => !ofTheContainer.includes(key) && !known.includes(key) && !perService.includes(key) && key !== forAll,
  )
  t.same(missing, [])
  t.end()
})

t.test('the services get no unknown key', (t) => {
  const unknown = passedOn(file).filter((key) => !(key in Environment.properties) && !key.startsWith('OTEL_'))
  t.same(unknown, [])
  t.end()
})

t.test('the shell overrides the settings of a single service too', (t) => {
  const set = [...file.matchAll(/^ +([A-Z_]+): (?:&\S+ )?'?([^&\s{[].*)$/gm)]
    .filter(([, key]) => key && key in Environment.properties && !ofTheContainer.includes(key))
    .filter(([, key, value]) => !value?.startsWith(`\${${key}:-`) && !value?.startsWith('*'))
    .map(([line]) => line.trim())
  t.same(set, [])
  t.end()
})
