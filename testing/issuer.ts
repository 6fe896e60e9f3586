import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, type GenerateKeyPairResult, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import type { Test } from 'tap'

export interface IssuerOptions {
  /** Serves HTTPS with this certificate; without it, HTTP. */
  readonly tls?: Pick<ServerOptions, 'cert' | 'key'>
  /** Returns its documents only for this token. */
  readonly bearer?: string
  readonly alg?: string
}

export interface SignOptions {
  readonly header?: Record<string, unknown>
  /** Signs with a key that is not the issuer's. */
  readonly key?: GenerateKeyPairResult['privateKey']
}

export interface Issuer {
  readonly url: string
  /** The requests that it received. */
  readonly requests: { readonly path: string; readonly authorization: string | undefined }[]
  /** Replaces members of the discovery document. */
  readonly discovery: Record<string, unknown>
  readonly kid: () => string
  readonly published: () => JWK[]
  /** A token with exactly these claims in addition to `iss`, `iat` and `exp`. */
  sign(claims: JWTPayload, options?: SignOptions): Promise<string>
  /** Replaces the signing key by a new one. */
  rotate(): Promise<void>
  stop(): Promise<void>
}

/** An OpenID Connect issuer with real keys: it serves a discovery document and a key set. */
export const startIssuer = async (t: Test, { tls, bearer, alg = 'RS256' }: IssuerOptions = {}): Promise<Issuer> => {
  let pair: GenerateKeyPairResult
  let jwk: JWK
  let count = 0
  const rotate = async () => {
    pair = await generateKeyPair(alg, { extractable: true })
    jwk = { ...(await exportJWK(pair.publicKey)), kid: `key-${++count}`, alg, use: 'sig' }
  }
  await rotate()

  const answer = (incoming: IncomingMessage, response: ServerResponse) => {
    const { url: path = '', headers } = incoming
    issuer.requests.push({ path, authorization: headers.authorization })
    const documents: Record<string, unknown> = {
      '/.well-known/openid-configuration': { issuer: issuer.url, jwks_uri: `${issuer.url}/keys`, ...issuer.discovery },
      '/keys': { keys: [jwk] },
    }
    response.setHeader('content-type', 'application/json')
    if (bearer !== undefined && headers.authorization !== `Bearer ${bearer}`) response.statusCode = 401
    else if (!documents[path]) response.statusCode = 404
    response.end(JSON.stringify(response.statusCode === 200 ? documents[path] : {}))
  }
  const server: Server = tls ? createHttpsServer(tls, answer) : createHttpServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    if (!server.listening) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  t.teardown(stop)

  const issuer: Issuer = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    discovery: {},
    kid: () => String(jwk.kid),
    published: () => [jwk],
    sign: (claims, { header = {}, key = pair.privateKey } = {}) => {
      const now = Math.floor(Date.now() / 1000)
      return new SignJWT({ iss: issuer.url, iat: now, exp: now + 300, ...claims })
        .setProtectedHeader({ alg, kid: String(jwk.kid), ...header })
        .sign(key)
    },
    rotate,
    stop,
  }
  return issuer
}
