import { issueAccessToken, type NewAccessClaims } from '../src/platform/auth/access-tokens.ts'
import { createServiceTokens } from '../src/platform/auth/service-tokens.ts'
import type { Actor } from '../src/platform/context.ts'
import { createKeyStore } from '../src/platform/keys/key-store.ts'

/** Headers of a signed-in person, with a token that is signed with the platform's keys: avoids the cost of a password hash. */
export const signedIn = (keysDir: string, userId: number, sessionVersion = 1): Promise<Record<string, string>> =>
  headersOf(keysDir, { userId, sessionVersion })

/** Like `signedIn`, for a person who has just confirmed the password. */
export const reauthenticated = (keysDir: string, userId: number, sessionVersion = 1): Promise<Record<string, string>> =>
  headersOf(keysDir, { userId, sessionVersion, reauthenticated: true })

const headersOf = async (keysDir: string, claims: NewAccessClaims): Promise<Record<string, string>> => {
  const { token } = await issueAccessToken(createKeyStore({ folder: keysDir, strict: false }), claims)
  return { authorization: `Bearer ${token}` }
}

/** Headers of a call from one service to another, on behalf of `actor` if given. */
export const asService = async (
  keysDir: string,
  caller: string,
  audience: string,
  actor: Actor = { type: 'service', id: caller },
): Promise<Record<string, string>> => {
  const tokens = createServiceTokens(createKeyStore({ folder: keysDir, strict: false }), caller)
  return { authorization: `Bearer ${await tokens.mint(audience, { actor, role: null })}` }
}
