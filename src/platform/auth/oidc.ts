import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { createCache } from '../cache.ts'
import { type Role, roles } from '../permission.ts'
import type { Identity } from './authenticate.ts'
import { asymmetricAlgorithms, createIssuerKeys, tokenFailure } from './issuer-keys.ts'

export interface OidcOptions {
  /** As its tokens and its discovery document name it. */
  readonly issuer: string
  readonly audience: string
  /** A claim's name, or a path to it: `realm_access.roles`. */
  readonly rolesClaim: string
  /** Values of `acr` or `amr` that prove a second factor; undefined if administrators need none. */
  readonly adminMfa: readonly string[] | undefined
}

/** An OpenID Connect issuer whose access tokens are accepted. */
export interface Oidc {
  /** Whether a token claims to be from this issuer; it may still be forged. */
  issued(token: string): boolean
  /** @throws auth.invalid_token, upstream.unavailable */
  identify(token: string): Promise<Identity>
}

/** A token is verified again after this time, so that a withdrawn key of the issuer does not stay valid here. */
const knownMs = 60_000

/** By header and payload: an access token, not an ID, refresh or logout token (RFC 9068, 2.1; RFC 8725, 3.11). */
const isAccessToken = (headerType: string | undefined, claims: JWTPayload): boolean =>
  (headerType === undefined || /^((application\/)?at\+)?jwt$/i.test(headerType)) &&
  !['nonce', 'at_hash', 'c_hash', 'events'].some((claim) => claim in claims) &&
  (claims.typ === undefined || claims.typ === 'Bearer')

const at = (claims: JWTPayload, path: string): unknown =>
  Object.hasOwn(claims, path)
    ? claims[path]
    : path.split('.').reduce<unknown>((value, name) => {
        const holds = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
        return holds ? (value as Record<string, unknown>)[name] : undefined
      }, claims)

/** The strongest OrderHub role in the claim: a list, or space-separated words. */
const roleOf = (claim: unknown): Role => {
  const named = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return roles.find((role) => named.includes(role)) ?? 'user'
}

/** Whether the issuer says that the sign-in used more than a password (OpenID Connect Core 1.0, 2: acr, amr; RFC 8176). */
const usedSecondFactor = ({ acr, amr }: JWTPayload, accepted: readonly string[]): boolean =>
  [acr, ...(Array.isArray(amr) ? amr : [])].some((value) => typeof value === 'string' && accepted.includes(value))

/** The person has no account here: the token is all we know, and the person owns no rows. */
export const createOidc = ({ issuer, audience, rolesClaim, adminMfa }: OidcOptions): Oidc => {
  const keys = createIssuerKeys(issuer)
  const known = createCache<Identity>()

  const verify = async (token: string): Promise<Identity> => {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: asymmetricAlgorithms,
      issuer,
      audience,
      requiredClaims: ['exp', 'sub', 'iat'],
    })
    const { sub = '', exp = 0 } = payload
    if (!isAccessToken(protectedHeader.typ, payload)) throw new errors.JWTInvalid('not an access token')
    // OpenID Connect Core 1.0, 2: at most 255 ASCII characters.
    if (!/^[\x21-\x7e]{1,255}$/.test(sub)) throw new errors.JWTInvalid('no subject')
    const role = roleOf(at(payload, rolesClaim))
    const mfaMissing = role === 'admin' && adminMfa && !usedSecondFactor(payload, adminMfa) ? 'sign-in' : undefined
    const identity: Identity = { actor: { type: 'user', id: `oidc:${sub}` }, role, mfaMissing }
    known.set(token, identity, Math.min(exp * 1000, Date.now() + knownMs))
    return identity
  }

  return {
    issued: (token) => {
      try {
        return decodeJwt(token).iss === issuer
      } catch {
        return false
      }
    },
    identify: async (token) => {
      try {
        return known.get(token) ?? (await verify(token))
      } catch (error) {
        throw tokenFailure(error)
      }
    },
  }
}
