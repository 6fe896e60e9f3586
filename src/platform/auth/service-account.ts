import { existsSync, readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { Agent, request } from 'undici'
import { createCache } from '../cache.ts'
import { fail } from '../errors.ts'
import { KeysError } from '../keys/keys-error.ts'
import { acceptedSkewSeconds, now, tokenTime } from './clock.ts'
import { asymmetricAlgorithms, createIssuerKeys, type Fetch, tokenFailure } from './issuer-keys.ts'
import { accountSeparator, type BoundTokens, type ServiceTokens } from './service-tokens.ts'

/** An account's exact name; default namespace: this process's own. */
export interface AccountName {
  readonly namespace: string | undefined
  readonly name: string
}

export interface ServiceAccountOptions {
  /** Path of the projected tokens, with `{service}` for the called one; the kubelet renews them in time. */
  readonly tokenFile: string
  /** Additional certificate authorities for the issuer; the file may be missing. */
  readonly caFile: string
  /** A token for the cluster's API, for an issuer that requires one. The file may be missing. */
  readonly apiTokenFile: string
  /** The account of each service. */
  readonly accounts: ReadonlyMap<string, AccountName>
  /** The services that this process calls: it needs a token for each. */
  readonly called: readonly string[]
}

/** Each token is valid at one service, which cannot replay it at another. */
const audienceOf = (service: string): string => `orderhub-${service}`
const rereadMs = 1000
/** A token is verified again after this time, so that a withdrawn key of the cluster does not stay valid here. */
const knownMs = 60_000

interface Account {
  readonly namespace: string
  readonly name: string
}

/** @throws Error unless the claims are those of a service account's token */
const accountOf = (claims: JWTPayload): Account => {
  const { namespace, serviceaccount } = (claims['kubernetes.io'] ?? {}) as Record<string, unknown>
  const { name } = (serviceaccount ?? {}) as Record<string, unknown>
  if (typeof namespace !== 'string' || typeof name !== 'string' || claims.sub !== `system:serviceaccount:${namespace}:${name}`)
    throw new errors.JWTInvalid('not of a service account')
  return { namespace, name }
}

/** The current token, read again when it rotates. @throws KeysError */
const createTokenFile = (file: string) => {
  let token = ''
  let readAt = 0
  return (): string => {
    if (Date.now() - readAt < rereadMs) return token
    try {
      token = readFileSync(file, 'utf8').trim()
      decodeJwt(token)
    } catch (error) {
      throw new KeysError(`SERVICE_ACCOUNT_TOKEN_FILE: ${file} contains no token (${(error as Error).message})`)
    }
    readAt = Date.now()
    return token
  }
}

/** The kubelet's own token tells this process the issuer and its own account. */
const ownAccount = (token: string, file: string): { issuer: string; own: Account } => {
  try {
    const { iss: issuer = '', ...claims } = decodeJwt(token)
    if (!issuer.startsWith('https://')) throw new Error('its issuer is not an https address')
    return { issuer, own: accountOf(claims) }
  } catch (error) {
    throw new KeysError(`SERVICE_ACCOUNT_TOKEN_FILE: ${file}: ${(error as Error).message}`)
  }
}

/** GET with the cluster's authorities; sends a token only if the issuer requires one. */
const createFetch =
  (caFile: string, apiTokenFile: string): Fetch =>
  async (url, { signal }) => {
    const ca = existsSync(caFile) ? [...rootCertificates, readFileSync(caFile, 'utf8')] : [...rootCertificates]
    const dispatcher = new Agent({ connect: { ca, timeout: 2000 }, allowH2: false })
    const get = async (headers: Record<string, string>) => {
      const { statusCode, body } = await request(url, { dispatcher, headers, signal: signal ?? null })
      return new Response(await body.text(), { status: statusCode })
    }
    try {
      const answer = await get({})
      if (answer.status !== 401 && answer.status !== 403) return answer
      if (!existsSync(apiTokenFile)) return answer
      return await get({ authorization: `Bearer ${readFileSync(apiTokenFile, 'utf8').trim()}` })
    } finally {
      await dispatcher.close()
    }
  }

/** Verifier of projected tokens: Kubernetes says who the caller is. @throws KeysError if this process has no token */
const createAccounts = ({ tokenFile, caFile, apiTokenFile, accounts, called }: ServiceAccountOptions) => {
  const fileOf = (service: string) => tokenFile.replaceAll('{service}', service)
  const tokens = new Map([...accounts.keys()].map((service) => [service, createTokenFile(fileOf(service))]))
  const ownToken = (service: string): string => {
    const read = tokens.get(service)
    if (!read) throw new KeysError(`SERVICE_ACCOUNT_NAMES does not name the account of ${service}`)
    return read()
  }
  // A process that calls no service still needs a token, to learn the cluster's issuer.
  const shown = called.length > 0 ? called : [...accounts.keys()].filter((service) => existsSync(fileOf(service))).slice(0, 1)
  if (shown.length === 0) throw new KeysError(`SERVICE_ACCOUNT_TOKEN_FILE: no service has a ${tokenFile}`)
  const [first] = shown.map((service) => ownAccount(ownToken(service), fileOf(service)))
  const { issuer, own } = first as ReturnType<typeof ownAccount>
  const keys = createIssuerKeys(issuer, createFetch(caFile, apiTokenFile))
  const known = createCache<Account>()

  const verify = async (token: string, audiences: readonly string[]): Promise<Account> => {
    const name = JSON.stringify([audiences, token])
    const seen = known.get(name)
    if (seen) return seen
    const { payload } = await jwtVerify(token, keys, {
      algorithms: asymmetricAlgorithms,
      issuer,
      audience: audiences.map(audienceOf),
      requiredClaims: ['exp', 'iat', 'sub'],
      ...tokenTime(),
    })
    const account = accountOf(payload)
    known.set(name, account, Math.min((Number(payload.exp) + acceptedSkewSeconds) * 1000, now() + knownMs))
    return account
  }

  return {
    own,
    ownToken,
    verify,
    isOf: (service: string, { namespace, name }: Account): boolean => {
      const account = accounts.get(service)
      return account !== undefined && account.name === name && (account.namespace ?? own.namespace) === namespace
    },
  }
}

/**
 * Two proofs in one credential: the projected token of the caller's account, for the called service, and the service's own token,
 * which names the person and is bound to this account token. A token stolen from a pod is useless without the service's key, and
 * the key is useless without a pod of the service.
 * @returns how each module of the process creates and verifies credentials. @throws KeysError if there is no token
 */
export const createServiceAccount = (options: ServiceAccountOptions): ((self: string, tokens: BoundTokens) => ServiceTokens) => {
  const accounts = createAccounts(options)
  return (self, tokens) => {
    if (!accounts.isOf(self, accounts.own)) {
      const { namespace, name } = accounts.own
      throw new KeysError(
        `SERVICE_ACCOUNT_NAMES: ${self} runs under the account ${namespace}/${name}, which differs from the configured one`,
      )
    }
    return {
      mint: async (audience, claims) => {
        const token = accounts.ownToken(audience)
        return `${token}${accountSeparator}${await tokens.mint(audience, claims, token)}`
      },
      verify: async (credential, audiences) => {
        const [token = '', origin = '', ...more] = credential.split(accountSeparator)
        if (more.length > 0) throw fail('auth.invalid_token', {}, new Error('not a credential'))
        // The signature first: it needs no request.
        const claims = await tokens.verify(origin, audiences, token)
        try {
          if (!accounts.isOf(claims.caller, await accounts.verify(token, audiences)))
            throw new errors.JWTInvalid(`not the account of ${claims.caller}`)
          return claims
        } catch (error) {
          throw tokenFailure(error)
        }
      },
      rejection: tokens.rejection,
    }
  }
}
