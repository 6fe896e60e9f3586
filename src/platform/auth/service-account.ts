import { existsSync, readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { Agent, request } from 'undici'
import { createCache } from '../cache.ts'
import { KeysError } from '../keys/keys-error.ts'
import { asymmetricAlgorithms, createIssuerKeys, type Fetch, tokenFailure } from './issuer-keys.ts'
import { accountSeparator, originOf, type ServiceTokens } from './service-tokens.ts'

export interface ServiceAccountOptions {
  /** The projected token, of audience `orderhub`; the kubelet writes a new one before it expires. */
  readonly tokenFile: string
  /** Authorities that vouch for the issuer, beside the public ones; it need not be there. */
  readonly caFile: string
  /** Shown to an issuer that does not answer everybody: a token that is meant for the cluster's API. It need not be there. */
  readonly apiTokenFile: string
  /** Names that a caller may have. */
  readonly services: readonly string[]
}

const audience = 'orderhub'
const rereadMs = 1000
/** A token is verified again after so long, so that a key which the cluster withdraws does not live on here. */
const knownMs = 60_000

interface Account {
  readonly namespace: string
  readonly name: string
}

/** @throws Error when the claims are not those of a service account's token */
const accountOf = (claims: JWTPayload): Account => {
  const { namespace, serviceaccount } = (claims['kubernetes.io'] ?? {}) as Record<string, unknown>
  const { name } = (serviceaccount ?? {}) as Record<string, unknown>
  if (typeof namespace !== 'string' || typeof name !== 'string' || claims.sub !== `system:serviceaccount:${namespace}:${name}`)
    throw new errors.JWTInvalid('not of a service account')
  return { namespace, name }
}

/** The token of now: read again as it rotates. @throws KeysError */
const createTokenFile = (file: string) => {
  let token = ''
  let readAt = 0
  return (): string => {
    if (Date.now() - readAt < rereadMs) return token
    try {
      token = readFileSync(file, 'utf8').trim()
      decodeJwt(token)
    } catch (error) {
      throw new KeysError(`SERVICE_ACCOUNT_TOKEN_FILE: ${file} holds no token (${(error as Error).message})`)
    }
    readAt = Date.now()
    return token
  }
}

/** What the kubelet's own word is for this process: whose tokens count, and of which namespace. */
const ownAccount = (token: string, file: string): { issuer: string; namespace: string } => {
  try {
    const { iss: issuer = '', ...claims } = decodeJwt(token)
    if (!issuer.startsWith('https://')) throw new Error('its issuer is not an https address')
    return { issuer, namespace: accountOf(claims).namespace }
  } catch (error) {
    throw new KeysError(`SERVICE_ACCOUNT_TOKEN_FILE: ${file}: ${(error as Error).message}`)
  }
}

/** GET with the cluster's authorities; a token is shown only where nobody is answered without. */
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

/**
 * Kubernetes says who calls: the projected token of the caller's service account, followed by on whose behalf, in one
 * credential, so that neither is believed without the other. Good for every service of the namespace, for as long as the
 * cluster says. @throws KeysError when there is no token
 */
export const createServiceAccount = ({ tokenFile, caFile, apiTokenFile, services }: ServiceAccountOptions): ServiceTokens => {
  const ownToken = createTokenFile(tokenFile)
  const { issuer, namespace } = ownAccount(ownToken(), tokenFile)
  const keys = createIssuerKeys(issuer, createFetch(caFile, apiTokenFile))
  const known = createCache<string>()

  const verifyAccount = async (token: string): Promise<string> => {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: asymmetricAlgorithms,
      issuer,
      audience,
      requiredClaims: ['exp', 'iat', 'sub'],
    })
    const account = accountOf(payload)
    const caller = services.find((service) => account.name === service || account.name.endsWith(`-${service}`))
    if (account.namespace !== namespace || caller === undefined) throw new errors.JWTInvalid('not an account of ours')
    known.set(token, caller, Math.min(Number(payload.exp) * 1000, Date.now() + knownMs))
    return caller
  }

  return {
    mint: async (_audience, { actor, role }) =>
      `${ownToken()}${accountSeparator}${Buffer.from(JSON.stringify({ actor, role })).toString('base64url')}`,
    verify: async (credential) => {
      const [token = '', origin = '', ...more] = credential.split(accountSeparator)
      try {
        if (more.length > 0) throw new errors.JWTInvalid('not a credential')
        const caller = known.get(token) ?? (await verifyAccount(token))
        return { caller, ...spokenFor(origin) }
      } catch (error) {
        throw tokenFailure(error)
      }
    },
  }
}

const spokenFor = (origin: string) => {
  try {
    return originOf(JSON.parse(Buffer.from(origin, 'base64url').toString()))
  } catch (error) {
    throw new errors.JWTInvalid('on behalf of nobody', { cause: error })
  }
}
