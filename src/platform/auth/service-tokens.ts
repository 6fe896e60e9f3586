import { createHash, type KeyObject } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { createCache } from '../cache.ts'
import type { Actor } from '../context.ts'
import { fail } from '../errors.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { type Role, roles } from '../permission.ts'
import { acceptedSkewSeconds, now, tokenTime } from './clock.ts'
import type { Rejection } from './rejected-tokens.ts'

/** Seconds; as short as a call may take, and never more than a minute. */
const lifetime = 60
/** A token is reused for calls within this time, to save signatures. */
const usedAgainMs = 20_000
const typ = 'orderhub-service+jwt'
const algorithm = 'EdDSA'

/** What one service tells another: its own name, and the person on whose behalf it calls. */
export interface ServiceClaims {
  /** The calling service. */
  readonly caller: string
  readonly actor: Actor
  readonly role: Role | null
  /** The person has just passed step-up authentication. */
  readonly reauthenticated?: boolean
}

export interface ServiceTokens {
  /** A token for one call to `audience`. */
  mint(audience: string, claims: Omit<ServiceClaims, 'caller'>): Promise<string>
  /** @throws auth.invalid_token unless it is a service's token for one of `audiences` */
  verify(token: string, audiences: readonly string[]): Promise<ServiceClaims>
  readonly rejection: Rejection
}

/** Tokens that are valid only together with another credential, if one is given: a service account's token. */
export interface BoundTokens extends ServiceTokens {
  mint(audience: string, claims: Omit<ServiceClaims, 'caller'>, boundTo?: string): Promise<string>
  verify(token: string, audiences: readonly string[], boundTo?: string): Promise<ServiceClaims>
}

/** Whether a bearer token claims to be a service's; it may still be forged. */
export const isServiceToken = (token: string): boolean => {
  // A service account's (service-account.ts) has two parts.
  if (token.includes(accountSeparator)) return true
  try {
    return decodeProtectedHeader(token).typ === typ
  } catch {
    return false
  }
}

/** Separates a service account's token from the service's own: a character of no JWT, but of a bearer token (RFC 6750, 2.1). */
export const accountSeparator = '~'

const prefix = 'urn:orderhub:service:'

/** The person, as another service names them. @throws Error for invalid claims */
const originOf = (claims: Record<string, unknown>): Omit<ServiceClaims, 'caller'> => {
  const { actor, role = null } = claims
  const { type, id = null } = (actor ?? {}) as Record<string, unknown>
  const isActor = (type === 'anonymous' && id === null) || ((type === 'user' || type === 'service') && typeof id === 'string')
  if (!isActor || (role !== null && !roles.some((known) => known === role))) throw new Error('claims are missing')
  const proven = claims.reauthenticated === true ? { reauthenticated: true } : {}
  return { actor: { type, id } as Actor, role: role as Role | null, ...proven }
}

/** As RFC 9449 (4.2) binds a proof to an access token. */
const hashOf = (credential: string): string => createHash('sha256').update(credential).digest('base64url')

/** Seconds by which the caller's clock seems to be ahead, according to its own token; undefined if it does not say. */
export const claimedSkew = (token: string): number | undefined => {
  try {
    const { iat } = decodeJwt(token.split(accountSeparator).at(-1) ?? '')
    return iat === undefined ? undefined : Math.round(iat - now() / 1000)
  } catch {
    return undefined
  }
}

/** Tokens signed with the service's own key; `self` is the calling service's name. */
export const createServiceTokens = (keys: KeyStore, self: string, rejection: Rejection = () => undefined): BoundTokens => {
  const minted = createCache<string>()
  const known = createCache<{ readonly kid: string; readonly key: KeyObject; readonly claims: ServiceClaims }>()

  const sign = async (audience: string, claims: JWTPayload): Promise<string> => {
    const { kid, key } = keys.signer(`service-${self}`)
    const issuedAt = Math.floor(now() / 1000)
    return new SignJWT(claims)
      .setProtectedHeader({ alg: algorithm, typ, kid })
      .setIssuer(`${prefix}${self}`)
      .setAudience(`${prefix}${audience}`)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetime)
      .sign(key)
  }

  return {
    mint: async (audience, { actor, role, reauthenticated = false }, boundTo) => {
      const name = JSON.stringify([audience, actor.type, actor.id, role, reauthenticated, boundTo])
      const ready = minted.get(name)
      if (ready !== undefined) return ready
      const proven = reauthenticated ? { reauthenticated } : {}
      const token = await sign(audience, { actor, role, ...proven, ...(boundTo === undefined ? {} : { ath: hashOf(boundTo) }) })
      minted.set(name, token, Date.now() + usedAgainMs)
      return token
    },

    verify: async (token, audiences, boundTo) => {
      const name = JSON.stringify([audiences, token, boundTo])
      const seen = known.get(name)
      if (seen && keys.verifier(`service-${seen.claims.caller}`, seen.kid) === seen.key) return seen.claims
      try {
        const { kid } = decodeProtectedHeader(token)
        const issuer = decodeJwt(token).iss ?? ''
        const caller = issuer.startsWith(prefix) ? issuer.slice(prefix.length) : ''
        const key = typeof kid === 'string' ? keys.verifier(`service-${caller}`, kid) : undefined
        if (!kid || !key) throw new Error('unknown key')
        const { payload } = await jwtVerify(token, key, {
          algorithms: [algorithm],
          typ,
          issuer,
          audience: audiences.map((audience) => `${prefix}${audience}`),
          requiredClaims: ['exp', 'iat'],
          ...tokenTime(),
        })
        const { exp = 0, iat = 0, ath } = payload
        if (exp - iat > lifetime || iat > now() / 1000 + acceptedSkewSeconds) throw new Error('its lifetime is too long')
        if (ath !== (boundTo === undefined ? undefined : hashOf(boundTo))) throw new Error('it is not bound to this credential')
        const claims = { caller, ...originOf(payload) }
        known.set(name, { kid, key, claims }, (exp + acceptedSkewSeconds) * 1000)
        return claims
      } catch (error) {
        throw fail('auth.invalid_token', {}, error)
      }
    },
    rejection,
  }
}
