import { Ajv2020, type AnySchema, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormatsModule from 'ajv-formats'
import type { FormName } from '../src/platform/normal-form.ts'

export interface JsonSchema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly 'x-normal-form'?: FormName
}

export interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly required?: boolean
  readonly example?: unknown
  readonly schema: JsonSchema
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: JsonSchema; readonly example?: unknown }>>
}

interface Documented {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content>>
}

/** The parts of an OpenAPI 3.1 document that the tests read. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Documented>>>>
}

export interface Route {
  readonly id: string
  readonly method: string
  /** Such as `/api/v1/users/{id}`. */
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly body: { readonly schema: JsonSchema; readonly example?: unknown } | undefined
  /** Returns how a response violates the document; undefined if it does not. */
  readonly misfit: (status: number, contentType: string | undefined, body: unknown) => string | undefined
}

const pointer = (...parts: readonly string[]) => parts.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')

/** Resolves a `$ref` of the document. */
export const resolve = (document: Document, schema: JsonSchema): JsonSchema => {
  if (!schema.$ref) return schema
  let found: unknown = document
  for (const part of schema.$ref.slice(2).split('/')) found = (found as Record<string, unknown>)[part]
  return found as JsonSchema
}

/** Every route of the document, with a check of its responses. */
export const routesOf = (document: Document): Route[] => {
  const ajv = addFormatsModule.default(new Ajv2020({ strict: false, allErrors: true, validateSchema: false }))
  ajv.addSchema(document as AnySchema, 'document')
  const validators = new Map<string, ValidateFunction>()
  const validatorOf = (ref: string) => {
    const validate = validators.get(ref) ?? ajv.compile({ $ref: `document#/${ref}` })
    validators.set(ref, validate)
    return validate
  }

  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, { operationId, parameters = [], requestBody, responses }]): Route => ({
        id: operationId,
        method: method.toUpperCase(),
        path,
        parameters,
        body: requestBody?.content?.['application/json'],
        misfit: (status, contentType, body) => {
          const documented = [String(status), `${Math.trunc(status / 100)}XX`].find((key) => responses[key])
          if (!documented) return `status ${status} is not documented`
          const type = contentType?.split(';')[0] ?? ''
          if (!responses[documented]?.content?.[type]) return `content-type "${contentType}" is not documented for ${documented}`
          const validate = validatorOf(pointer('paths', path, method, 'responses', documented, 'content', type, 'schema'))
          return validate(body) ? undefined : ajv.errorsText(validate.errors)
        },
      }),
    ),
  )
}
