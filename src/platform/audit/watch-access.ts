import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from 'pino'
import { clientAddressOf } from '../auth/authenticate.ts'
import type { AccessTrail } from './access-trail.ts'
import type { Access } from './denial-aggregator.ts'
import { createPseudonyms } from './pseudonyms.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The persons whose data the response shows, if the route is audited. */
    shown: readonly string[] | undefined
  }
}

export interface WatchOptions {
  readonly trail: Pick<AccessTrail, 'add'>
  /** Routes that return data about persons, such as `GET /api/v1/orders/:id`, with the member of `data` that names the person. */
  readonly reads: Readonly<Record<string, string>>
  /** Routes whose body names an account by its e-mail address, with that member. */
  readonly accounts: Readonly<Record<string, string>>
  /** The keyed hash of an account's e-mail address. */
  readonly accountHash: (email: string) => string
  readonly log: Logger
  /** Called when an access could not be recorded. */
  readonly onError: () => void
}

const refused: ReadonlySet<number> = new Set([401, 403, 429])

/** An id in our own format. A client can write anything else in its place. */
const ourId = /^(\d{1,15}|[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12})$/

/**
 * A person who may access only their own data requested an id that they cannot see: somebody else's, or none. The entry, like the
 * response, does not say which of the two; it has the id.
 */
const isForeign = ({ call, params, failureCode }: FastifyRequest, status: number): boolean =>
  status === 404 &&
  call.scope === 'own' &&
  call.actor.type === 'user' &&
  failureCode !== 'route.not_found' &&
  Object.keys((params ?? {}) as object).length > 0

/** The first parameter of a route, as text: after validation an id is a number. */
const idOf = ({ params }: FastifyRequest): string | null => {
  const [parameter = ''] = Object.values((params ?? {}) as Record<string, unknown>)
  const [id = ''] = String(parameter).split('/')
  return ourId.test(id) ? id : null
}

/** The persons in a response's data, a row or a list of rows. */
const personsIn = (payload: unknown, member: string): string[] => {
  const data = (payload as { data?: unknown } | null)?.data
  const rows = Array.isArray(data) ? data : [data]
  const ids = rows.map((row) => (row as Record<string, unknown> | null | undefined)?.[member])
  return [...new Set(ids.filter((id) => typeof id === 'number' || typeof id === 'string').map(String))]
}

/**
 * Records the denials of this server on the trail: every 401, 403 and 429 that was decided here, and every 404 of a person who
 * may access only their own data. A service behind this one records its own. Also records whose personal data was shown to a role
 * that may see everybody's.
 */
export const watchAccess = fp<WatchOptions>(
  async (app, options) => {
    const { trail, reads, accounts, accountHash, log, onError } = options
    const pseudonym = createPseudonyms()

    const commonOf = (request: FastifyRequest) => ({
      at: Date.now(),
      actor: request.call.actor,
      client: pseudonym(clientAddressOf(request)),
      traceparent: request.call.traceparent,
    })

    const accountOf = (request: FastifyRequest, route: string): string | undefined => {
      const member = accounts[`${request.method} ${route}`]
      const email = member === undefined ? undefined : (request.body as Record<string, unknown> | undefined)?.[member]
      return typeof email === 'string' ? accountHash(email) : undefined
    }

    const refusalOf = (request: FastifyRequest, status: number): Access => {
      const route = request.routeOptions.url ?? '(unknown)'
      const [type = ''] = route.replace(/^\/(api\/v\d+|internal)?\/?/, '').split('/')
      const account = accountOf(request, route)
      const known = type === '' || type === '*' || route === '(unknown)' ? '(unknown)' : type
      return {
        ...commonOf(request),
        action: `${request.method} ${route}`,
        decision: 'denied',
        resource: account === undefined ? { type: known, id: idOf(request) } : { type: 'account', id: account },
        apart: account !== undefined,
        facts: { code: request.failureCode ?? '', status },
        subjects: [],
      }
    }

    const readOf = (request: FastifyRequest, subjects: readonly string[]): Access => {
      const [subject = null] = subjects.length === 1 ? subjects : []
      return {
        ...commonOf(request),
        action: 'personal_data.read',
        decision: 'approved',
        resource: { type: 'user', id: subject },
        apart: subject !== null,
        facts: { route: `${request.method} ${request.routeOptions.url}` },
        subjects: subject === null ? subjects : [],
      }
    }

    const accessOf = (request: FastifyRequest, status: number): Access | undefined => {
      if (request.failureCode !== undefined)
        return refused.has(status) || isForeign(request, status) ? refusalOf(request, status) : undefined
      const { actor, scope } = request.call
      if (request.shown === undefined || status !== 200 || scope !== 'all' || actor.type !== 'user') return undefined
      const others = request.shown.filter((id) => id !== actor.id)
      return others.length > 0 ? readOf(request, others) : undefined
    }

    app.decorateRequest('shown')
    app.addHook('onRoute', (route) => {
      const member = [route.method].flat().includes('GET') ? reads[`GET ${route.url}`] : undefined
      if (member === undefined) return
      // A forwarded response is a stream, which this hook does not see: the service behind records it.
      route.preSerialization = [
        ...[route.preSerialization ?? []].flat(),
        (request, _reply, payload, done) => {
          if (request.method === 'GET') request.shown = personsIn(payload, member)
          done(null, payload)
        },
      ]
    })
    app.addHook('onResponse', (request, reply, done) => {
      // Fastify ignores errors of this hook.
      try {
        const access = accessOf(request, reply.statusCode)
        if (access) trail.add(access)
      } catch (error) {
        onError()
        log.error(
          { err: error, method: request.method, route: request.routeOptions.url, status: reply.statusCode },
          'recording a request on the audit trail failed',
        )
      }
      done()
    })
  },
  { name: 'watch-access', dependencies: ['request-context'] },
)
