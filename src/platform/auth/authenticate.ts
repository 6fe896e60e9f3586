import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type CallContext, traceIdOf } from '../context.ts'
import { Failure, fail } from '../errors.ts'
import type { Permission, Role } from '../permission.ts'
import { rejectedHeader, rejectedValue } from './rejected-tokens.ts'
import { claimedSkew, isServiceToken, type ServiceTokens } from './service-tokens.ts'

/** The identity behind a token, as of now. */
export interface Identity {
  readonly actor: CallContext['actor']
  readonly role: Role | null
  /** The missing step if the role requires a second factor: to enrol one, or to sign in with it. */
  readonly mfaMissing?: 'enrolment' | 'sign-in' | undefined
  /** Whether the person has just passed step-up authentication; only a step-up token says so. */
  readonly reauthenticated?: boolean
}

export interface AuthenticateOptions {
  readonly routes: Readonly<Record<string, Permission>>
  /** This process's modules, with their paths below /api/v1: a service's token is valid only for the module that it names. */
  readonly modules: readonly { readonly name: string; readonly paths: readonly string[] }[]
  /** Undefined: no checks (AUTH=off). Routes must still be in the policy. */
  readonly serviceTokens: ServiceTokens | undefined
  /** The service that has verified the person's token: at public routes, only its word says who the person is. */
  readonly gatewayName: string
  /** Everybody can reach this port: a service's token is not accepted at its public routes. */
  readonly isPublicPort: boolean
  /**
   * The identity behind a person's access token; with `mayBeStale` perhaps a cached one, if it cannot be checked now.
   * @throws auth.invalid_token, user.unavailable
   */
  readonly identify: (token: string, context: CallContext, mayBeStale: boolean) => Promise<Identity>
  /** Paths where even a read needs a fresh session check. */
  readonly asOfNow: readonly string[]
  /** Called when another service's token was rejected. */
  readonly onRefused?: () => void
  /** Plugins that must have refused their requests before this one verifies a token. */
  readonly after?: readonly string[]
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The modules that a service's token may name as its audience. */
    audiences?: readonly string[]
    /** The services that may call it; every service if undefined. */
    callers?: readonly string[] | undefined
  }
  interface FastifyRequest {
    /** The client's address as the gateway forwards it, if the gateway's token proves it; empty for any other request. */
    clientAddress: string
  }
}

/** The token of a request (RFC 6750, 2.1). */
export const bearerOf = ({ headers }: FastifyRequest): string | undefined =>
  /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]

/** The gateway writes the client first, according to its own TRUST_PROXY. */
const forwardedFor = ({ headers }: FastifyRequest): string => headers['x-forwarded-for']?.toString().split(',')[0]?.trim() ?? ''

/**
 * The client's address. Only the gateway can pass on a client's address; for any other request it is the peer's, according to
 * this process's TRUST_PROXY.
 */
export const clientAddressOf = ({ clientAddress, ip }: FastifyRequest): string => clientAddress || ip

const isInternal = (url: string): boolean => url.startsWith('/internal/')

/** The data that the permission allows for this role; undefined for none. */
const scopeOf = ({ all, own, anonymous }: Permission, role: Role | null): CallContext['scope'] | undefined => {
  if (role !== null && all.includes(role)) return 'all'
  return anonymous || (role !== null && own.includes(role)) ? 'own' : undefined
}

/**
 * Authenticates and authorizes each request before its body is read. Every route that is registered afterwards must be in
 * `routes` or be internal. @throws Error when another one is registered
 */
export const createAuthentication = ({ after = [], ...options }: AuthenticateOptions) =>
  fp(
    async (app) => {
      const { routes, modules, serviceTokens, gatewayName, isPublicPort, identify, asOfNow, onRefused } = options

      const audiencesOf = (url: string): string[] => {
        if (isInternal(url)) return url.split('/').slice(2, 3)
        const owners = modules.filter(({ paths }) => paths.some((path) => `${url}/`.startsWith(`/api/v1${path}/`)))
        return (owners.length > 0 ? owners : modules).map(({ name }) => name)
      }

      app.addHook('onRoute', (route) => {
        route.config = { ...route.config, audiences: audiencesOf(route.url) }
        if (isInternal(route.url)) return
        for (const method of [route.method].flat().filter((each) => each !== 'OPTIONS'))
          if (!routes[`${method === 'HEAD' ? 'GET' : method} ${route.url}`])
            throw new Error(`${method} ${route.url} is not in src/policy.ts`)
      })
      app.decorateRequest('clientAddress', '')
      if (!serviceTokens) return

      /** A service acts for the person that it names, with that person's role; for itself it has none. */
      const verifyCaller = async (
        token: string,
        request: FastifyRequest,
        reply: FastifyReply,
      ): Promise<Identity & { caller: string }> => {
        const { routeOptions, call, log } = request
        try {
          const { caller, actor, role, reauthenticated } = await serviceTokens.verify(token, routeOptions.config.audiences ?? [])
          return { caller, actor, role: actor.type === 'user' ? role : null, reauthenticated: reauthenticated ?? false }
        } catch (error) {
          const reason = error instanceof Failure && error.cause instanceof Error ? error.cause.message : String(error)
          const where = { route: routeOptions.url, trace_id: traceIdOf(call.traceparent), request_id: call.requestId }
          log.warn({ ...where, reason, skew_seconds: claimedSkew(token) }, 'service token rejected')
          onRefused?.()
          reply.header(rejectedHeader, rejectedValue)
          throw error
        }
      }

      /** By the route, not by the URL: the router also accepts /%75sers for /users. */
      const mayBeStale = ({ method, routeOptions: { url } }: FastifyRequest): boolean =>
        (method === 'GET' || method === 'HEAD') && !asOfNow.some((path) => `${url}/`.startsWith(`${path}/`))

      const authenticateBearer = async (token: string, request: FastifyRequest, reply: FastifyReply): Promise<Identity> => {
        if (!isServiceToken(token)) return identify(token, request.call, mayBeStale(request))
        if (isPublicPort) throw fail('auth.invalid_token')
        const { caller, ...identity } = await verifyCaller(token, request, reply)
        if (caller !== gatewayName) return { actor: { type: 'service', id: caller }, role: null }
        request.clientAddress = forwardedFor(request)
        return identity
      }

      /** At a route that ignores tokens, the gateway's token still proves the address that it forwards. */
      const noteClient = async (token: string, request: FastifyRequest): Promise<void> => {
        if (isPublicPort || !isServiceToken(token)) return
        const claims = await serviceTokens.verify(token, request.routeOptions.config.audiences ?? []).catch(() => undefined)
        if (claims?.caller === gatewayName) request.clientAddress = forwardedFor(request)
      }

      app.addHook('onRequest', async (request, reply) => {
        const { url, config } = request.routeOptions
        // No route; for OPTIONS it is the wildcard of CORS.
        if (url === undefined || url === '*') return
        const token = bearerOf(request)
        if (isInternal(url)) {
          if (token === undefined) throw fail('auth.required')
          const { caller, actor, role } = await verifyCaller(token, request, reply)
          const allowed = config.callers?.includes(caller) ?? true
          request.call = { ...request.call, caller, actor: allowed ? actor : { type: 'service', id: caller }, role }
          if (!allowed) throw fail('auth.forbidden')
          return
        }
        const { method } = request
        const permission = routes[`${method === 'HEAD' ? 'GET' : method} ${url}`]
        if (token !== undefined && permission?.tokenIgnored) await noteClient(token, request)
        if (token !== undefined && !permission?.tokenIgnored) {
          const { actor, role, mfaMissing, reauthenticated = false } = await authenticateBearer(token, request, reply)
          request.call = { ...request.call, actor, role, reauthenticated }
          if (mfaMissing && !permission?.withoutSecondFactor)
            throw fail(mfaMissing === 'enrolment' ? 'auth.mfa_enrolment_required' : 'auth.mfa_required')
        }
        const { actor, role } = request.call
        const scope = permission && scopeOf(permission, role)
        if (!scope) throw fail(actor.type === 'anonymous' ? 'auth.required' : 'auth.forbidden')
        request.call = { ...request.call, scope }
      })
    },
    { name: 'authentication', dependencies: ['request-context', ...after] },
  )
