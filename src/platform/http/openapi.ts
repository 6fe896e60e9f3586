import { readFile } from 'node:fs/promises'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Permission } from '../permission.ts'
import { Problem } from '../schema.ts'
import { referenceRoutes } from './api-reference.ts'
import { defaultBodyLimit } from './body.ts'
import { entityTag, revalidate } from './revalidate.ts'

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Moves each schema with a title to components/schemas, once, so that a generated client has named types. */
const nameSchemas = (document: Json): Json => {
  const schemas: Json = {}
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit)
    if (!isObject(value)) return value
    const visited = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item)]))
    const { title } = visited
    if (typeof title !== 'string' || visited.type !== 'object') return visited
    schemas[title] ??= visited
    return { $ref: `#/components/schemas/${title}` }
  }
  const paths = visit(document.paths)
  const components = isObject(document.components) ? document.components : {}
  return { ...document, paths, components: { ...components, schemas: Object.fromEntries(Object.entries(schemas).sort()) } }
}

/** A parameter with a default is optional: for generated clients, and for the reference's examples. */
const withoutDefaulted = (document: Json): Json => {
  const operations = Object.values(document.paths as Json).flatMap((methods) => Object.values(methods as Json)) as Json[]
  for (const { parameters = [] } of operations)
    for (const parameter of parameters as { required?: boolean; schema?: Json }[])
      if (parameter.schema?.default !== undefined)
        Object.assign(parameter, {
          required: false,
          examples: { default: { value: parameter.schema.default, 'x-disabled': true } },
        })
  return document
}

const problemResponse = (description: string) => ({ description, content: { 'application/problem+json': { schema: Problem } } })

/** Security requirement of a route for generated clients: a token, an optional token, or none. */
const securityOf = (permission: Permission | undefined): Record<string, string[]>[] => {
  if (permission?.tokenIgnored) return []
  return permission?.anonymous ? [{}, { bearer: [] }] : [{ bearer: [] }]
}

const description = `Users, products, orders with stock, and notifications. Errors are RFC 9457 problems with a stable \`code\`. Bodies are JSON in UTF-8; \`x-body-limit\` is what each may have in bytes.

Most calls need a token: run the curl line of [Sign in](#tag/auth/POST/api/v1/auth/login) with your address and password, those of the sample data's administrator being what the first start printed. Paste the \`access_token\` of its answer into the field *Bearer Token* under Authentication, and every line of this page has it in the place of \`YOUR_SECRET_TOKEN\`.`

export interface DescribeOptions {
  readonly routes: Readonly<Record<string, Permission>>
  readonly tags: readonly string[]
}

/** Describes every route that is registered afterwards, including the Problem response that each can return. */
export const describeRoutes = fp<DescribeOptions>(
  async (app, { routes, tags }) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'OrderHub',
          version: '1.0.0',
          description,
        },
        // Relative to the document: works under any address of this server.
        servers: [{ url: '/' }],
        components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
        tags: [...tags, 'health'].map((name) => ({ name })),
      },
      transformObject: (input) =>
        nameSchemas(withoutDefaulted(('openapiObject' in input ? input.openapiObject : input.swaggerObject) as Json)) as never,
    })
    app.addHook('onRoute', (route) => {
      if (route.schema?.hide || !route.schema) return
      route.schema.security ??= securityOf(routes[`${route.method} ${route.url}`])
      const limit = { 'x-body-limit': route.bodyLimit ?? defaultBodyLimit }
      if (route.schema.body) Object.assign(route.schema, limit)
      const response = (route.schema.response ?? {}) as Json
      route.schema.response = { ...response, '4xx': problemResponse('Refused'), '5xx': problemResponse('Failed') }
    })
  },
  { name: 'describe-routes', dependencies: ['body-limits', 'success-messages'] },
)

/** GET /openapi.json and the reference at /docs. `document` is given if not all routes are in this process. */
export const documentRoutes = async (app: FastifyInstance, document?: URL): Promise<void> => {
  const bytesOf = (openapi: unknown) => {
    const bytes = Buffer.from(JSON.stringify(openapi))
    return { bytes, etag: entityTag(bytes) }
  }
  // Serialized and hashed once: per request, this would take more time than the rest of the request.
  let written = document && bytesOf(JSON.parse(await readFile(document, 'utf8')))
  app.get('/openapi.json', { schema: { hide: true }, onSend: revalidate }, async (_request, reply) => {
    written ??= bytesOf(app.swagger())
    return reply.type('application/json; charset=utf-8').header('etag', written.etag).send(written.bytes)
  })
  referenceRoutes(app)
}
