import type { FirstSignIn } from '../platform/module.ts'

export interface BannerOptions {
  readonly url: string
  readonly metricsPort: number
  /** More lines: a name and an address each. */
  readonly more?: readonly (readonly [name: string, address: string])[]
  readonly signIn: FirstSignIn | undefined
  /** The command that sets a new password for the administrator. */
  readonly resetLine: string
}

/** A password that was generated just now. */
export const passwordLine = ({ email, password }: FirstSignIn): string => `
  The administrator ${email} was given the password ${password}
`

/** How to sign in; prints a password only if it was generated just now. */
const signingIn = (url: string, { email, password }: FirstSignIn, resetLine: string): string => `
  Sign in as ${email}${
    password === undefined
      ? `. If the password is lost, this sets a new one, also while the platform runs:
    ${resetLine}
  Put it in the place of PASSWORD:`
      : `. This is shown once, keep the password: ${password}`
  }
    TOKEN=$(curl -sS -X POST ${url}/api/v1/auth/login -H 'content-type: application/json' -d '{"email":"${email}","password":"${password ?? 'PASSWORD'}"}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
`

/** The summary for a person at a terminal; once, after the log lines of the start. */
export const banner = ({ url, metricsPort, more = [], signIn, resetLine }: BannerOptions): string => {
  const bearer = signIn ? ' -H "authorization: Bearer $TOKEN"' : ''
  return `
  OrderHub is ready: ${url}
  API reference:     ${url}/docs
  Metrics:           http://127.0.0.1:${metricsPort}/metrics
${more.map(([name, address]) => `  ${`${name}:`.padEnd(18)} ${address}\n`).join('')}${signIn ? signingIn(url, signIn, resetLine) : ''}
  Try it:
    curl ${url}/api/v1/products
    curl -X POST ${url}/api/v1/orders${bearer} -H 'content-type: application/json' -H 'idempotency-key: try-1' -d '{"user_id":3,"items":[{"product_id":2,"quantity":2}]}'
    curl ${url}/api/v1/notifications${bearer}

`
}
