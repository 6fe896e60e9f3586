/** A value quoted for a POSIX shell. */
const quoted = (value: string): string => (/^[\w./:@%+,=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`)

/**
 * A copyable command that runs an npm script with these variables set, for the shell of the platform. On Windows it is for
 * cmd.exe and also works in PowerShell.
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
