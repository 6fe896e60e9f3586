/** Maximum parts of a logged path, and characters per part: our own paths have fewer. */
const most = { parts: 16, characters: 64 } as const

/**
 * A path for the log: our own paths need no percent-encoding and are short, and a client's path may contain a person's name.
 * Reads only as much of it as it writes.
 */
export const pathOf = (url: string): string => {
  const [path = ''] = url.split('?', 1)
  const parts = path.split('/', most.parts + 1)
  const shown = parts
    .slice(0, most.parts)
    // Not with an expression such as /[^/]*%[^/]*/g, which takes quadratic time for a part without the sign.
    .map((part) => (part.length > most.characters || part.includes('%') ? '[redacted]' : part))
    .join('/')
  return parts.length > most.parts ? `${shown}/…` : shown
}
