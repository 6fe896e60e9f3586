import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

const path = '/docs'

/** What leads away from this server. */
const hidden = { agent: { disabled: true }, mcp: { disabled: true }, showDeveloperTools: 'never', hideClientButton: true }

/** Scalar's page with its script: 25 MB in memory, so nobody has it who does not look at it. */
const loadReference = async (): Promise<FastifyInstance> => {
  const { default: plugin } = await import('@scalar/fastify-api-reference')
  const server = Fastify()
  await server.register(plugin as never, {
    routePrefix: path,
    configuration: { url: '/openapi.json', title: 'OrderHub API', telemetry: false, withDefaultFonts: false, ...hidden },
  })
  await server.ready()
  return server
}

/** The reference of /openapi.json for people, at /docs; loaded at its first request. */
export const referenceRoutes = (app: FastifyInstance): void => {
  let loading: Promise<FastifyInstance> | undefined
  const answer = async ({ url }: FastifyRequest, reply: FastifyReply) => {
    loading ??= loadReference()
    const { statusCode, headers, rawPayload } = await (await loading).inject(url)
    if (statusCode === 404) return reply.callNotFound()
    for (const name of ['content-type', 'location'] as const) if (headers[name]) reply.header(name, headers[name])
    return reply.code(statusCode).send(rawPayload)
  }
  for (const url of [path, `${path}/*`]) app.get(url, { schema: { hide: true } }, answer)
}
