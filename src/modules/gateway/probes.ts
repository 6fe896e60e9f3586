/** Whether a route is asked by whoever watches this process. By the route and not by the URL, which has other spellings. */
export const isProbe = (route: string | undefined): boolean => route !== undefined && /^\/health(\/|$)/.test(route)
