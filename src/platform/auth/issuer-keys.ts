import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import { type Failure, fail } from '../errors.ts'

export type Fetch = (url: string, options: RequestInit) => Promise<Response>

/** Only signatures with a key pair: a shared secret could be the issuer's published key. */
export const asymmetricAlgorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

const timeoutMs = 5000
/** Minimum pause between two look-ups of an unknown key: the issuer's rotation is noticed, and false ids do not flood it. */
const cooldownMs = 5000

const discover = async (issuer: string, get: Fetch): Promise<URL> => {
  const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await get(place, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
  if (response.status !== 200) throw new Error(`${place} responded with ${response.status}`)
  const { issuer: named, jwks_uri } = (await response.json()) as Record<string, unknown>
  if (named !== issuer) throw new Error(`${place} belongs to another issuer`)
  const keys = URL.parse(String(jwks_uri))
  if (!keys || (keys.protocol !== 'https:' && new URL(issuer).protocol === 'https:'))
    throw new Error(`${place} has no https address of keys`)
  return keys
}

/**
 * The published keys of an issuer (OpenID Connect Discovery 1.0, 4). Fetched when they are first needed, every ten minutes, and
 * when a token names an unknown one.
 */
export const createIssuerKeys = (issuer: string, get: Fetch = fetch): JWTVerifyGetKey => {
  let found: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined
  const find = async () => {
    const options = { timeoutDuration: timeoutMs, cooldownDuration: cooldownMs, [customFetch]: get }
    return createRemoteJWKSet(await discover(issuer, get), options)
  }
  return async (header, token) => {
    found ??= find().catch((error) => {
      found = undefined
      throw error
    })
    const keys = await found
    return keys(header, token)
  }
}

/** Errors of the token itself; any other error means that the issuer could not be reached. */
const ofToken = (error: unknown): boolean =>
  error instanceof errors.JOSEError && !/^ERR_(JOSE_GENERIC|JWKS_INVALID|JWKS_TIMEOUT)$/.test(error.code)

/** auth.invalid_token, or upstream.unavailable if the issuer does not respond. */
export const tokenFailure = (error: unknown): Failure =>
  fail(ofToken(error) ? 'auth.invalid_token' : 'upstream.unavailable', {}, error)
