import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import { type Failure, fail } from '../errors.ts'

export type Fetch = (url: string, options: RequestInit) => Promise<Response>

/** Signatures with a key pair: a secret that both sides know could be the issuer's published key. */
export const asymmetricAlgorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

const timeoutMs = 5000
/** Between two looks for a key that is not known: the issuer's rotation is seen, and false ids do not flood it. */
const cooldownMs = 5000

const discover = async (issuer: string, get: Fetch): Promise<URL> => {
  const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await get(place, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
  if (response.status !== 200) throw new Error(`${place} answered ${response.status}`)
  const { issuer: named, jwks_uri } = (await response.json()) as Record<string, unknown>
  if (named !== issuer) throw new Error(`${place} is of another issuer`)
  const keys = URL.parse(String(jwks_uri))
  if (!keys || (keys.protocol !== 'https:' && new URL(issuer).protocol === 'https:'))
    throw new Error(`${place} names no https address of keys`)
  return keys
}

/**
 * The published keys of an issuer, as it says where they are (OpenID Connect Discovery 1.0, 4); asked for when they are first
 * needed, every ten minutes, and when a token names one that is not known.
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

/** Faults of the token itself; anything else means that the issuer could not be asked. */
const ofToken = (error: unknown): boolean =>
  error instanceof errors.JOSEError && !/^ERR_(JOSE_GENERIC|JWKS_INVALID|JWKS_TIMEOUT)$/.test(error.code)

/** auth.invalid_token, or upstream.unavailable when it is the issuer that does not answer. */
export const tokenFailure = (error: unknown): Failure =>
  fail(ofToken(error) ? 'auth.invalid_token' : 'upstream.unavailable', {}, error)
