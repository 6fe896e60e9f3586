/** Seconds by which the clocks of two of our machines may differ. */
export const acceptedSkewSeconds = 30

/** Milliseconds since 1970 by this machine's clock, for what tokens say of time. */
export const now = (): number => Date.now()

/** For jose: `exp` and `nbf` are looked at with the accepted skew, both ways (RFC 7519, 4.1.4 and 4.1.5). */
export const tokenTime = (): { readonly currentDate: Date; readonly clockTolerance: number } => ({
  currentDate: new Date(now()),
  clockTolerance: acceptedSkewSeconds,
})
