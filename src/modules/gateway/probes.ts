/** Whether a route is for those that watch this process. By the route and not by the URL, which has other spellings. */
export const isProbe = (route: string | undefined): boolean => route !== undefined && /^\/health(\/|$)/.test(route)
