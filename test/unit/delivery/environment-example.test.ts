import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import t from 'tap'
import { readConfig } from '../../../src/config.ts'
import { Environment } from '../../../src/environment.ts'

t.test('.env.example has every key, with the defaults of an empty environment', async (t) => {
  const text = await readFile('.env.example', 'utf8')
  t.same(parseEnv(text), {}, 'unchanged, it sets nothing')
  const env = parseEnv(text.replaceAll(/^#(?=[A-Z_]+=)/gm, ''))
  t.same(Object.keys(env).toSorted(), Object.keys(Environment.properties).toSorted())
  t.same(JSON.stringify(readConfig(env as Record<string, string>)), JSON.stringify(readConfig({})))
})
