/** Percent-decoded like the router does it: reserved characters stay encoded; undefined if invalid. */
const decoded = (path: string): string | undefined => {
  try {
    return decodeURI(path)
  } catch {
    return undefined
  }
}

const fits = (pattern: readonly string[], path: readonly string[]): boolean =>
  pattern.at(-1) === '*'
    ? path.length >= pattern.length && fits(pattern.slice(0, -1), path.slice(0, pattern.length - 1))
    : pattern.length === path.length && pattern.every((part, n) => (part.startsWith(':') ? path[n] !== '' : part === path[n]))

const literals = (pattern: readonly string[]): string => pattern.map((part) => (part.startsWith(':') ? '1' : '0')).join('')

/**
 * Returns the entry of a table of routes, such as `GET /orders/:id`, for a method and URL: the router finds routes of one method
 * only. Of two matching patterns, the one whose literal comes first wins.
 */
export const matchRoutes = <T>(routes: Readonly<Record<string, T>>): ((method: string, url: string) => T | undefined) => {
  const byMethod = Map.groupBy(
    Object.entries(routes)
      .map(([route, value]) => {
        const [method = '', path = ''] = route.split(' ')
        return { method, pattern: path.split('/'), value }
      })
      .sort((a, b) => literals(a.pattern).localeCompare(literals(b.pattern))),
    ({ method }) => method,
  )
  const longest = Math.max(...[...byMethod.values()].flat().map(({ pattern }) => pattern.length))
  return (method, url) => {
    // A path with more parts than that differs from each pattern as one with a single part more.
    const parts = (url.split(/[?#]/, 1)[0] as string).split('/', longest + 1)
    const path = decoded(parts.join('/'))?.split('/')
    if (!path) return undefined
    return byMethod.get(method === 'HEAD' ? 'GET' : method)?.find(({ pattern }) => fits(pattern, path))?.value
  }
}
