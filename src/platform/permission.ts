/** The roles of a person, who has exactly one (RBAC). */
export const roles = ['admin', 'support', 'auditor', 'user'] as const
export type Role = (typeof roles)[number]

/** `all`: these roles may access everything behind the route; `own`: these only their own data. */
export interface Permission {
  readonly all: readonly Role[]
  readonly own: readonly Role[]
  /** Also without a token. */
  readonly anonymous: boolean
  /** Also for people who must enrol a second factor and have not yet: until then, they may use only such routes. */
  readonly withoutSecondFactor?: boolean
  /** The body identifies the caller, or nothing does: the token is ignored, so that an expired one is no obstacle. */
  readonly tokenIgnored?: boolean
}
