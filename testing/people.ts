import { issueAccessToken, type NewAccessClaims } from '../src/platform/auth/access-tokens.ts'
import { createServiceTokens } from '../src/platform/auth/service-tokens.ts'
import type { Actor } from '../src/platform/context.ts'
import { createKeyStore } from '../src/platform/keys/key-store.ts'

/** Headers of a person who is signed in, made with the platform's own keys: without the cost of a password. */
export const signedIn = (keysDir: string, userId: number, sessionVersion = 1): Promise<Record<string, string>> =>
  headersOf(keysDir, { userId, sessionVersion })

/** As `signedIn`, of somebody who has just proven who they are. */
export const reauthenticated = (keysDir: string, userId: number, sessionVersion = 1): Promise<Record<string, string>> =>
  headersOf(keysDir, { userId, sessionVersion, reauthenticated: true })

const headersOf = async (keysDir: string, claims: NewAccessClaims): Promise<Record<string, string>> => {
  const { token } = await issueAccessToken(createKeyStore({ folder: keysDir, strict: false }), claims)
  return { authorization: `Bearer ${token}` }
}

/** Headers of a service's call to another, on behalf of nobody unless an actor is given. */
export const asService = async (
  keysDir: string,
  caller: string,
  audience: string,
  actor: Actor = { type: 'service', id: caller },
): Promise<Record<string, string>> => {
  const tokens = createServiceTokens(createKeyStore({ folder: keysDir, strict: false }), caller)
  return { authorization: `Bearer ${await tokens.mint(audience, { actor, role: null })}` }
}
