import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Dispatcher } from 'undici'
import type { ServiceTokens } from '../../platform/auth/service-tokens.ts'
import { Failure } from '../../platform/errors.ts'
import { takeBodies } from '../../platform/http/body.ts'
import { sendProblem } from '../../platform/http/problem.ts'
import type { Remote } from '../../platform/module.ts'
import { clientGone, createForwarder, type Forwarder } from './forward.ts'
import { clientHeaders, upstreamHeaders } from './headers.ts'

/** Error codes while reading a response: of the HTTP client, the parser and the system. */
const brokeOff = /^(UND_ERR|HPE|E[A-Z]+)/
/** Headers of a response that failed before its first byte: they describe a body that does not come. */
const describeBody = ['content-encoding', 'content-length', 'etag', 'last-modified', 'cache-control', 'location']

const optionsOf = (
  method: string,
  paths: readonly string[],
  { upstream }: Remote,
  { dispatcher, bound, unavailable }: Forwarder,
): FastifyHttpProxyOptions => ({
  upstream: '',
  routes: [...paths],
  httpMethods: method === 'GET' ? ['GET', 'HEAD'] : [method],
  // Forwards the path as the client spelled it (`bound` knows it): the plugin would normalize it.
  preRewrite: () => '/',
  internalRewriteLocationHeader: false,
  // The parser below reads the body, within the server's limit; the plugin's own would pass it on unread and without a limit.
  proxyPayloads: false,
  // Our own dispatcher: the plugin's own dispatchers do not verify certificates.
  undici: dispatcher as never,
  disableCache: true,
  disableRequestLogging: true,
  handler: (request, reply, dest, options) =>
    bound(request.url, reply as FastifyReply, () =>
      reply.from(dest, {
        ...options,
        ...(request.body === undefined ? {} : { body: request.body, contentType: request.headers['content-type'] ?? '' }),
      }),
    ),
  replyOptions: {
    getUpstream: () => {
      const origin = upstream.pick()
      if (origin === undefined) throw unavailable()
      return origin
    },
    // `maxRetriesOn503: 0` means 10 to the plugin; this turns its retries off.
    retryDelay: () => null,
    rewriteRequestHeaders: (request, headers) => upstreamHeaders(request as FastifyRequest, headers),
    rewriteHeaders: (headers, request) => clientHeaders(headers, (request as FastifyRequest | undefined)?.ownVary),
    onError: (reply, { error }) => {
      if (error.cause === clientGone) reply.hijack()
      else reply.send(error.cause ?? error)
    },
  },
})

declare module 'fastify' {
  interface FastifyRequest {
    /** Replaces the client's own token: tells the service who the client is. */
    serviceToken: string | undefined
    /** `Vary` for what this process does; the service adds its own. */
    ownVary: unknown
  }
}

const byMethod = (routes: readonly string[]): Map<string, string[]> => {
  const paths = new Map<string, string[]>()
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ')
    paths.set(method, [...(paths.get(method) ?? []), path])
  }
  return paths
}

export interface ProxyOptions {
  readonly remotes: readonly Remote[]
  readonly dispatcher: Dispatcher
  readonly timeoutMs: number
  readonly tokens: ServiceTokens | undefined
}

/**
 * Forwards each remote module's routes to its service. Only these routes, so that an unknown path or method is refused here, as
 * in one process. Mounted below /api/v1.
 */
export const proxyRoutes = async (
  app: FastifyInstance,
  { remotes, dispatcher, timeoutMs, tokens }: ProxyOptions,
): Promise<void> => {
  app.decorateRequest('serviceToken')
  app.decorateRequest('ownVary')
  for (const remote of remotes) {
    const forwarder = createForwarder(remote, dispatcher, timeoutMs, tokens?.rejection)
    await app.register(async (scope) => {
      scope.addHook('preHandler', async (request, reply) => {
        request.ownVary = reply.getHeader('vary')
        request.serviceToken = await tokens?.mint(remote.name, request.call)
      })
      takeBodies(scope, (_request, _text, bytes, done) => done(null, bytes))
      scope.setErrorHandler((error: FastifyError, request, reply) => {
        for (const name of describeBody) reply.removeHeader(name)
        if (error instanceof Failure) return sendProblem(error, request, reply)
        if (!brokeOff.test(error.code)) throw error
        request.log.warn({ err: error, request_id: request.id }, 'response from the upstream was interrupted')
        return sendProblem(forwarder.unavailable(error), request, reply)
      })
      for (const [method, paths] of byMethod(remote.routes))
        await scope.register(httpProxy, optionsOf(method, paths, remote, forwarder))
    })
  }
}
