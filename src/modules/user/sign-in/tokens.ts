import { issueAccessToken } from '../../../platform/auth/access-tokens.ts'
import type { KeyStore } from '../../../platform/keys/key-store.ts'

/** An access token as OAuth 2.0 describes it (RFC 6749, 5.1). */
export interface AccessToken {
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Seconds. */
  readonly expires_in: number
}

export interface Tokens extends AccessToken {
  readonly refresh_token: string
}

export interface TokenOwner {
  readonly userId: number
  readonly sessionVersion: number
  readonly amr: readonly string[]
}

export type TokenIssuer = ReturnType<typeof createTokenIssuer>

export const createTokenIssuer = (keys: KeyStore) => {
  const issue = async (owner: TokenOwner, reauthenticated: boolean): Promise<AccessToken> => {
    const { token, expiresIn } = await issueAccessToken(keys, { ...owner, reauthenticated })
    return { access_token: token, token_type: 'Bearer', expires_in: expiresIn }
  }
  return {
    /** The tokens of a session, new or refreshed. */
    signedIn: async (owner: TokenOwner, refreshToken: string): Promise<Tokens> => ({
      ...(await issue(owner, false)),
      refresh_token: refreshToken,
    }),
    /** A token of a person who has just proven their identity. */
    reauthenticated: (owner: TokenOwner): Promise<AccessToken> => issue(owner, true),
  }
}
