import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { defaultLocale, type Locale, localeOf } from '../../platform/locales.ts'
import { homeData, homePage } from './home-page.ts'
import { mailLinkPages } from './mail-link-page.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Sends an HTML page, which loads files of assets/. */
    page?: boolean
  }
}

/** Other parameters are allowed: click counters add their own. */
const Query = Type.Object({ lang: Type.Optional(Type.String({ maxLength: 35 })) })

/** The language in the address, otherwise the browser's. */
const languageOf = ({ query, headers }: FastifyRequest): Locale => {
  const { lang } = query as { lang?: string }
  return localeOf(lang ?? headers['accept-language'])
}

const sendPage = (reply: FastifyReply, locale: Locale, html: string): FastifyReply =>
  reply.type('text/html; charset=utf-8').header('content-language', locale).send(html)

const Home = Type.Object(
  {
    name: Type.String(),
    description: Type.String(),
    signing_in: Type.String(),
    links: Type.Object(Object.fromEntries(Object.keys(homeData(defaultLocale).links).map((name) => [name, Type.String()]))),
  },
  { title: 'Home' },
)
const html = 'text/html'
const json = 'application/json'

/** Number of characters that are read: browsers send about 150. */
const longestAccept = 1000

/** Quality of a media type in an Accept header (RFC 9110, 12.5.1): by its full name, otherwise by a matching range. */
const weightOf = (accept: string, type: string): number => {
  const ranges = accept
    .slice(0, longestAccept)
    .split(',')
    .map((part) =>
      part
        .toLowerCase()
        .split(';')
        .map((each) => each.trim()),
    )
  for (const wanted of [type, type.replace(/\/.*/, '/*'), '*/*']) {
    const parameters = ranges.find(([range]) => range === wanted)
    if (parameters) return Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
  }
  return 0
}

/** GET /: a page for browsers, and the same content as JSON for programs. */
const homeRoute = (app: FastifyInstance): void => {
  const schema = {
    operationId: 'home',
    summary: 'What this is and where to begin',
    tags: ['health'],
    querystring: Query,
    response: {
      200: { description: 'Where to begin', content: { [json]: { schema: Home }, [html]: { schema: Type.String() } } },
    },
  }
  app.get('/', { config: { page: true }, schema }, async (request, reply) => {
    const locale = languageOf(request)
    reply.header('vary', 'accept, accept-language')
    const { accept = '*/*' } = request.headers
    // JSON if both are equally acceptable: for programs that accept anything.
    if (weightOf(accept, html) > weightOf(accept, json)) return sendPage(reply, locale, homePage(locale))
    return reply.header('content-language', locale).send(homeData(locale))
  })
}

/** Pages for people, each in every language, with their files at /assets/. Only the first is in the OpenAPI document. */
export const pageRoutes = async (app: FastifyInstance): Promise<void> => {
  await app.register(fastifyStatic, {
    root: fileURLToPath(new URL('./assets/', import.meta.url)),
    prefix: '/assets/',
    decorateReply: false,
    index: false,
    allowedPath: (path) => /^\/[\w-]+\.\w+$/.test(path),
    schemaHide: true,
    // Small files: a browser revalidates them each time.
    cacheControl: false,
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  })
  homeRoute(app)
  for (const [path, render] of Object.entries(mailLinkPages)) {
    app.get(path, { config: { page: true }, schema: { hide: true, querystring: Query } }, async (request, reply) => {
      const locale = languageOf(request)
      return sendPage(reply, locale, render(locale))
    })
  }
}
