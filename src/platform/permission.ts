/** What a person may be; one role each. */
export const roles = ['admin', 'support', 'auditor', 'user'] as const
export type Role = (typeof roles)[number]

/** `all`: these roles reach everything behind the route; `own`: these reach only what belongs to them. */
export interface Permission {
  readonly all: readonly Role[]
  readonly own: readonly Role[]
  /** Without a token as well. */
  readonly anonymous: boolean
  /** Also for those who must enrol a second factor and have not yet: nothing else is, while they are signed in. */
  readonly withoutSecondFactor?: boolean
  /** The body or nothing says who asks: a token is not looked at, so that one that has run out is no obstacle. */
  readonly tokenIgnored?: boolean
}
