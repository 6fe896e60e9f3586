import type { KeyObject } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { createCache } from '../cache.ts'
import { fail } from '../errors.ts'
import { newUuid } from '../ids.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { acceptedSkewSeconds, tokenTime } from './clock.ts'

/** Seconds. */
const lifetime = 600
/** Of one that says that its owner has just proven who they are: that long it opens what is as good as a password. */
const reauthenticatedLifetime = 300
/** What such a token says (acr: RFC 9470, 4). */
const reauthenticatedClass = 'urn:orderhub:reauthenticated'
/**
 * Names and not addresses: the same token is good whatever host name clients reach the gateway by, and a token of ours is
 * never good at, nor mistaken for one of, another issuer. Keys: /.well-known/jwks.json.
 */
const issuer = 'urn:orderhub'
const audience = 'urn:orderhub:api'
/** Ed25519 alone (RFC 8037); no other algorithm is ever looked at. */
const algorithm = 'EdDSA'

export interface AccessClaims {
  readonly userId: number
  readonly sessionVersion: number
  /** How its owner signed in (RFC 8176): `pwd`, and `otp` with a code of the second factor. */
  readonly amr: readonly string[]
  /** Whether its owner has proven a moment ago, and after signing in, who they are. */
  readonly reauthenticated: boolean
}

/** Of a sign-in with the password alone, where nothing else is said. */
export type NewAccessClaims = Pick<AccessClaims, 'userId' | 'sessionVersion'> & Partial<AccessClaims>

/** A signed token for a person who has signed in (RFC 9068), good for ten minutes, or five where they have proven it again. */
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
 * Verifies access tokens, each once: what it says is then known until it expires, or until the keys in the folder change.
 * @throws auth.invalid_token whatever is wrong with it
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
      // One of the version before says nothing of how its owner signed in.
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
