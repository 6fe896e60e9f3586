/** A value as a POSIX shell takes it. */
const quoted = (value: string): string => (/^[\w./:@%+,=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`)

/**
 * A line for a person to copy that runs an npm script with these variables set, in the shell of the platform. On Windows it
 * is one for cmd.exe that also works when it is typed into PowerShell.
 */
export const npmLine = (
  script: string,
  variables: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): string => {
  const set = Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined)
  if (platform !== 'win32') return [...set.map(([key, value]) => `${key}=${quoted(value)}`), `npm ${script}`].join(' ')
  if (set.length === 0) return `npm ${script}`
  return `cmd /c "${[...set.map(([key, value]) => `set ${key}=${value}`), `npm ${script}`].join('&& ')}"`
}
