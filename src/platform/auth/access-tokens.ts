import type { KeyObject } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { createCache } from '../cache.ts'
import { fail } from '../errors.ts'
import { newUuid } from '../ids.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { acceptedSkewSeconds, tokenTime } from './clock.ts'

/** Seconds. */
const lifetime = 600
/** Lifetime of a step-up token: it allows sensitive changes for this long. */
const reauthenticatedLifetime = 300
/** The claim of a step-up token (acr: RFC 9470, 4). */
const reauthenticatedClass = 'urn:orderhub:reauthenticated'
/**
 * Names, not addresses: a token is valid whatever host name clients use for the gateway, and our tokens are never valid at
 * another issuer, nor mistaken for its tokens. Keys: /.well-known/jwks.json.
 */
const issuer = 'urn:orderhub'
const audience = 'urn:orderhub:api'
/** Only Ed25519 (RFC 8037); no other algorithm is ever accepted. */
const algorithm = 'EdDSA'

export interface AccessClaims {
  readonly userId: number
  readonly sessionVersion: number
  /** How its owner signed in (RFC 8176): `pwd`, and `otp` with a code of the second factor. */
  readonly amr: readonly string[]
  /** Whether its owner has just passed step-up authentication, after signing in. */
  readonly reauthenticated: boolean
}

/** Default: a sign-in with the password alone. */
export type NewAccessClaims = Pick<AccessClaims, 'userId' | 'sessionVersion'> & Partial<AccessClaims>

/** A signed access token (RFC 9068), valid for ten minutes, or five after step-up authentication. */
export const issueAccessToken = async (
  keys: KeyStore,
  { userId, sessionVersion, amr = ['pwd'], reauthenticated = false }: NewAccessClaims,
): Promise<{ token: string; expiresIn: number }> => {
  const { kid, key } = keys.signer('access-token')
  const expiresIn = reauthenticated ? reauthenticatedLifetime : lifetime
  const acr = reauthenticated ? { acr: reauthenticatedClass } : {}
  const token = await new SignJWT({ client_id: 'orderhub', session_version: sessionVersion, amr, ...acr })
    .setProtectedHeader({ alg: algorithm, typ: 'at+jwt', kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(String(userId))
    .setJti(newUuid())
    .setIssuedAt()
    .setExpirationTime(`${expiresIn}s`)
    .sign(key)
  return { token, expiresIn }
}

/**
 * Verifies access tokens, each once: the result is cached until the token expires, or until the keys in the folder change.
 * @throws auth.invalid_token for any invalid token
 */
export const createAccessTokenVerifier = (keys: KeyStore): ((token: string) => Promise<AccessClaims>) => {
  const known = createCache<{ readonly kid: string; readonly key: KeyObject; readonly claims: AccessClaims }>()
  return async (token) => {
    const seen = known.get(token)
    if (seen && keys.verifier('access-token', seen.kid) === seen.key) return seen.claims
    try {
      const { kid } = decodeProtectedHeader(token)
      const key = typeof kid === 'string' ? keys.verifier('access-token', kid) : undefined
      if (!kid || !key) throw new Error('unknown key')
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        typ: 'at+jwt',
        issuer,
        audience,
        requiredClaims: ['exp', 'sub', 'iat'],
        ...tokenTime(),
      })
      const userId = Number(payload.sub)
      if (!Number.isSafeInteger(userId) || typeof payload.session_version !== 'number') throw new Error('claims are missing')
      // A token of the previous version has no authentication method.
      const amr = Array.isArray(payload.amr) ? payload.amr.filter((method) => typeof method === 'string') : []
      const reauthenticated = payload.acr === reauthenticatedClass
      const claims = { userId, sessionVersion: payload.session_version, amr, reauthenticated }
      known.set(token, { kid, key, claims }, (Number(payload.exp) + acceptedSkewSeconds) * 1000)
      return claims
    } catch (error) {
      throw fail('auth.invalid_token', {}, error)
    }
  }
}
