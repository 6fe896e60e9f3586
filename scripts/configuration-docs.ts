import { readFile, writeFile } from 'node:fs/promises'
import type { TSchema } from 'typebox'
import { secretKeys } from '../src/config/secret-files.ts'
import { Environment } from '../src/environment.ts'

interface Key {
  readonly key: string
  readonly fallback: string
  readonly description: string
  readonly secret: boolean
}

const keys = (): Key[] =>
  Object.entries(Environment.properties as Record<string, TSchema & { default?: unknown; description?: string }>).map(
    ([key, schema]) => ({
      key,
      fallback: String(schema.default ?? ''),
      description: schema.description ?? '',
      secret: secretKeys.includes(key),
    }),
  )

const configurationTable = (): string => {
  const rows = keys().map(({ key, fallback, description, secret }) => {
    const file = secret ? ` (or \`${key}_FILE\`)` : ''
    return `| \`${key}\`${file} | ${fallback && `\`${fallback}\``} | ${description.replaceAll('|', '\\|')} |`
  })
  return ['| key | default | meaning |', '|---|---|---|', ...rows].join('\n')
}

/** Replaces the table between the markers of a README. */
export const generateConfigurationTable = async (file: string): Promise<void> => {
  const text = await readFile(file, 'utf8')
  const between = /(<!-- configuration -->\n)[\s\S]*(\n<!-- \/configuration -->)/
  await writeFile(
    file,
    text.replace(between, (_all, before: string, after: string) => `${before}${configurationTable()}${after}`),
  )
}

/** Every key with its default, commented out. The format is that of `node --env-file`. */
export const environmentExample = (): string =>
  [
    '# Every key of the configuration with its default. Generated from src/environment.ts by `npm run generate`.',
    '# Copy this file to .env.local, remove the # from the keys that you set, and start with:',
    '#   node --env-file=.env.local src/main.ts',
    '# (docker compose reads .env, which only chooses the profile.)',
    ...keys().flatMap(({ key, fallback, description, secret }) => [
      '',
      `# ${description}`,
      ...(secret ? [`# (or ${key}_FILE: the name of a file with the value)`] : []),
      `#${key}=${fallback}`,
    ]),
    '',
  ].join('\n')
