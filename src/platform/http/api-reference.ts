import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { revalidate } from './revalidate.ts'

const path = '/docs'
const pluginScript = 'js/scalar.js'
const sliceBytes = 64 * 1024

/** Links that lead away from this server. */
const hidden = { agent: { disabled: true }, mcp: { disabled: true }, showDeveloperTools: 'never', hideClientButton: true }
const configuration = {
  url: '/openapi.json',
  pageTitle: 'OrderHub API',
  favicon: 'data:,',
  telemetry: false,
  authentication: { preferredSecurityScheme: 'bearer' },
  withDefaultFonts: false,
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  ...hidden,
}

const compress = {
  // 5 of 11: nearly as small, in a tenth of the time.
  br: (content: Buffer) => promisify(brotliCompress)(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  gzip: (content: Buffer) => promisify(gzip)(content, { level: 6 }),
  identity: async (content: Buffer) => content,
} as const
type Coding = keyof typeof compress

/** The shortest coding that a client accepts (RFC 9110, 12.5.3). */
const codingOf = (header: string | string[] | undefined): Coding => {
  const accepted = String(header ?? '')
    .toLowerCase()
    .split(',')
    .filter((part) => !/;\s*q=0(\.0*)?\s*$/.test(part))
    .map((part) => part.split(';', 1)[0]?.trim())
  return (['br', 'gzip'] as const).find((coding) => accepted.includes(coding)) ?? 'identity'
}

/** One copy of the content for all clients: each holds only references to the slices that it has not read yet. */
const slices = function* (content: Buffer): Generator<Buffer> {
  for (let start = 0; start < content.length; start += sliceBytes) yield content.subarray(start, start + sliceBytes)
}

interface Reference {
  readonly html: string
  /** With a digest of its content, so that it can be cached for ever. */
  readonly scriptName: string
  script(coding: Coding): Promise<Buffer>
}

/** Scalar's page with its script takes 25 MB of memory, so it is loaded only when somebody opens it. */
const loadReference = async (): Promise<Reference> => {
  const { default: plugin } = await import('@scalar/fastify-api-reference')
  const server = Fastify()
  await server.register(plugin as never, { routePrefix: path, configuration })
  const [page, script] = await Promise.all([server.inject(`${path}/`), server.inject(`${path}/${pluginScript}`)])
  await server.close()
  const digest = createHash('sha256').update(script.rawPayload).digest('hex').slice(0, 16)
  const scriptName = `js/scalar.${digest}.js`
  const compressed = new Map<Coding, Promise<Buffer>>()
  return {
    html: page.body.replace(pluginScript, scriptName),
    scriptName,
    script: (coding) => {
      const content = compressed.get(coding) ?? compress[coding](script.rawPayload)
      compressed.set(coding, content)
      return content
    },
  }
}

/** The API reference of /openapi.json, at /docs/; loaded at its first request. */
export const referenceRoutes = (app: FastifyInstance): void => {
  let loading: Promise<Reference> | undefined
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    loading ??= loadReference()
    const reference = await loading
    const { '*': name } = request.params as { '*': string }
    if (name === '') return reply.type('text/html; charset=utf-8').send(reference.html)
    if (name !== reference.scriptName) return reply.callNotFound()
    const coding = codingOf(request.headers['accept-encoding'])
    const content = await reference.script(coding)
    return reply
      .type('text/javascript; charset=utf-8')
      .headers({
        'cache-control': 'public, max-age=31536000, immutable',
        etag: `"${reference.scriptName}-${coding}"`,
        vary: 'Accept-Encoding',
        'content-length': content.length,
        ...(coding === 'identity' ? {} : { 'content-encoding': coding }),
      })
      .send(Readable.from(slices(content)))
  }
  app.get(path, { schema: { hide: true } }, (_request, reply) => reply.redirect(`${path}/`, 301))
  app.get(`${path}/*`, { schema: { hide: true }, onSend: revalidate }, answer)
}
