/** Whether a route is a health probe. Checks the route, not the URL, which has several spellings. */
export const isProbe = (route: string | undefined): boolean => route !== undefined && /^\/health(\/|$)/.test(route)
