import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Locale } from '../../platform/errors.ts'
import { localeOf } from '../../platform/problem.ts'
import { mailLinkPages } from './mail-link-page.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers with an HTML page, which loads files of assets/. */
    page?: boolean
  }
}

/** Other parameters are let pass: services that count clicks add their own. */
const Query = Type.Object({ lang: Type.Optional(Type.String({ maxLength: 35 })) })

/** The language that the address names, otherwise the browser's. */
const languageOf = ({ query, headers }: FastifyRequest): Locale => {
  const { lang } = query as { lang?: string }
  return localeOf(lang ?? headers['accept-language'])
}

const sendPage = (reply: FastifyReply, locale: Locale, html: string): FastifyReply =>
  reply
    .type('text/html; charset=utf-8')
    // A page whose address has held a token is not kept.
    .header('cache-control', 'no-store')
    .header('content-language', locale)
    .send(html)

/** Pages for people, each in every language, with their files at /assets/. Outside the API and its OpenAPI document. */
export const pageRoutes = async (app: FastifyInstance): Promise<void> => {
  await app.register(fastifyStatic, {
    root: fileURLToPath(new URL('./assets/', import.meta.url)),
    prefix: '/assets/',
    decorateReply: false,
    index: false,
    allowedPath: (path) => /^\/[\w-]+\.\w+$/.test(path),
    schemaHide: true,
    // Small files: a browser asks each time whether they have changed.
    cacheControl: false,
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  })
  for (const [path, render] of Object.entries(mailLinkPages)) {
    app.get(path, { config: { page: true }, schema: { hide: true, querystring: Query } }, async (request, reply) => {
      const locale = languageOf(request)
      return sendPage(reply, locale, render(locale))
    })
  }
}
