/** Parts of a path, and characters of one, that are written down: none of ours has more. */
const most = { parts: 16, characters: 64 } as const

/**
 * A path to be written down: of ours none needs percent-encoding or is long, and what clients put into theirs may name a person.
 * Looks at as much of it as it writes.
 */
export const pathOf = (url: string): string => {
  const [path = ''] = url.split('?', 1)
  const parts = path.split('/', most.parts + 1)
  const shown = parts
    .slice(0, most.parts)
    // Not by an expression such as /[^/]*%[^/]*/g, which takes time by the square of a part without the sign.
    .map((part) => (part.length > most.characters || part.includes('%') ? '[redacted]' : part))
    .join('/')
  return parts.length > most.parts ? `${shown}/…` : shown
}
