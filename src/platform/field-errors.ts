import type { ErrorObject } from 'ajv'
import { type Failure, fail } from './errors.ts'
import type { LocalizedText } from './locales.ts'
import { rules } from './validation-messages.ts'

export interface FieldError {
  /** JSON pointer (RFC 6901) into the body, query or path. */
  readonly field: string
  readonly message: LocalizedText
}

/** A client that sends a thousand errors gets twenty. */
const mostErrors = 20
/** A union has one error for each of its branches. */
export const mostLookedAt = 200

/** An error of a rule that is in no schema. */
export const invalid = (errors: readonly FieldError[]): Failure =>
  fail('request.invalid', { errors: errors.slice(0, mostErrors) })

/** A client's own key, of any length: truncated. */
const short = (key: string): string => (key.length > 64 ? `${key.slice(0, 64)}…` : key).toWellFormed()
const pointed = (key: string): string => short(key).replaceAll('~', '~0').replaceAll('/', '~1')

const fieldOf = ({ keyword, instancePath, params }: ErrorObject): string => {
  if (keyword === 'required') return `${instancePath}/${params.missingProperty}`
  if (keyword === 'additionalProperties') return `${instancePath}/${pointed(params.additionalProperty)}`
  return instancePath || '/'
}

const messages: Readonly<Record<string, (params: ErrorObject['params']) => LocalizedText>> = {
  required: rules.required,
  additionalProperties: ({ additionalProperty }) => rules.unknown(short(additionalProperty)),
  type: ({ type }) => rules.type(type),
  pattern: ({ pattern }) => rules.pattern(pattern),
  format: ({ format }) => rules.format(format),
  enum: ({ allowedValues }) => rules.oneOf(allowedValues),
  const: ({ allowedValue }) => rules.oneOf([allowedValue]),
  minLength: ({ limit }) => rules.minLength(limit),
  maxLength: ({ limit }) => rules.maxLength(limit),
  minimum: ({ limit }) => rules.minimum(limit),
  maximum: ({ limit }) => rules.maximum(limit),
  minItems: ({ limit }) => rules.minItems(limit),
  maxItems: ({ limit }) => rules.maxItems(limit),
  minProperties: ({ limit }) => rules.minProperties(limit),
  // The normal form's own texts are in normal-form.ts.
  'x-normal-form': ({ texts }) => texts,
}

const messageOf = ({ keyword, params }: ErrorObject): LocalizedText => messages[keyword]?.(params) ?? rules.invalid()

const isBelow = (path: string, above: string): boolean => path === above || path.startsWith(`${above}/`)
const isBranchOf = (union: ErrorObject) => (error: ErrorObject) =>
  error !== union && error.schemaPath.startsWith(`${union.schemaPath}/`) && isBelow(error.instancePath, union.instancePath)

interface Branch {
  readonly const?: unknown
  readonly enum?: readonly unknown[]
}

/** One message for a union: its constants as a list, and the first requirement of each other branch. */
const messageOfUnion = (errors: readonly ErrorObject[], union: ErrorObject): LocalizedText => {
  const branches = (union.schema ?? []) as readonly Branch[]
  const values = branches.flatMap((branch) => (branch.const === undefined ? (branch.enum ?? []) : [branch.const]))
  const others = branches.flatMap((branch, n) => {
    if (branch.const !== undefined || branch.enum) return []
    const first = errors.find(({ schemaPath }) => schemaPath.startsWith(`${union.schemaPath}/${n}/`))
    return first ? [messageOf(first)] : []
  })
  return rules.either([...(values.length > 0 ? [rules.oneOf(values)] : []), ...others])
}

/** Ajv's errors as one text per field, in every language. */
export const fieldErrors = (errors: readonly ErrorObject[] | null | undefined): FieldError[] => {
  const found = (errors ?? []).slice(0, mostLookedAt)
  const unions = found.filter(({ keyword }) => keyword === 'anyOf')
  const branches = new Map(unions.map((union) => [union, found.filter(isBranchOf(union))]))
  const inUnion = new Set([...branches.values()].flat())
  return found
    .filter((error) => !inUnion.has(error))
    .slice(0, mostErrors)
    .map((error) => {
      const own = branches.get(error)
      return { field: fieldOf(error), message: own ? messageOfUnion(own, error) : messageOf(error) }
    })
}
