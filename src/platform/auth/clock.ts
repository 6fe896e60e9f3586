/** Accepted clock difference between two of our machines, in seconds. */
export const acceptedSkewSeconds = 30

/** Milliseconds since 1970 by this machine's clock, for the times in tokens. */
export const now = (): number => Date.now()

/** For jose: `exp` and `nbf` are checked with the accepted clock skew in both directions (RFC 7519, 4.1.4 and 4.1.5). */
export const tokenTime = (): { readonly currentDate: Date; readonly clockTolerance: number } => ({
  currentDate: new Date(now()),
  clockTolerance: acceptedSkewSeconds,
})
