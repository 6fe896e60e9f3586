import { Ajv, type ValidateFunction } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { type Static, type TSchema, Type } from 'typebox'
import { isCurrency } from './currency.ts'
import { fail } from './errors.ts'
import { fieldErrors } from './field-errors.ts'

const addFormats = addFormatsModule.default
// verbose: a union's message needs its branches.
const common = { allErrors: true, verbose: true, useDefaults: true, removeAdditional: false, strict: false } as const

const realDateTime = addFormats.get('date-time') as { validate: (text: string) => boolean }
/** RFC 3339's form without what PostgreSQL cannot take: the year 0000, an offset of 16 hours, endless fractions. */
const dateTimeForm = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-](0\d|1[0-5]):\d\d)$/i
const withFormats = (ajv: Ajv): Ajv =>
  addFormats(ajv)
    .addFormat('date-time', (text) => dateTimeForm.test(text) && realDateTime.validate(text))
    .addFormat('currency', isCurrency)

/** Bodies are taken as they are; queries and paths are text, so numbers and booleans are read from it. */
const strict = withFormats(new Ajv({ ...common, coerceTypes: false }))
const lenient = withFormats(new Ajv({ ...common, coerceTypes: true }))

export const compile = (schema: TSchema | object, part?: string): ValidateFunction =>
  (part === 'querystring' || part === 'params' || part === 'headers' ? lenient : strict).compile(schema)

const validators = new WeakMap<object, ValidateFunction>()

/** The value itself, with its defaults set. @throws Failure request.invalid with errors[] */
export const parse = <S extends TSchema>(schema: S, value: unknown): Static<S> => {
  const validate = validators.get(schema) ?? compile(schema)
  validators.set(schema, validate)
  if (!validate(value)) throw fail('request.invalid', { errors: fieldErrors(validate.errors) })
  return value as Static<S>
}

/** Largest value of PostgreSQL's integer: a larger id cannot exist, and must not reach a statement. */
export const maxId = 2_147_483_647
export const Id = Type.Integer({ minimum: 1, maximum: maxId })
export const IdParams = Type.Object({ id: Id }, { additionalProperties: false })
export const Timestamp = Type.String({ format: 'date-time', description: 'ISO 8601, UTC' })
/** An amount of money. */
export const inMinorUnits =
  'integer, in the minor unit of the currency by ISO 4217: cents for USD, whole yen for JPY, and by decision whole dollars for TWD'
/** Of what comes in; what was stored before the codes were checked still goes out. */
export const Currency = Type.String({ format: 'currency', description: 'code of ISO 4217 that has a minor unit' })
export const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])

/** An object that refuses unknown fields. */
export const Strict = <P extends Record<string, TSchema>>(properties: P, options: object = {}) =>
  Type.Object(properties, { ...options, additionalProperties: false })

export const One = <S extends TSchema>(data: S) =>
  Type.Object({ success: Type.Literal(true), data, message: Type.Optional(Type.String()) })

export const Many = <S extends TSchema>(item: S) =>
  Type.Object({
    success: Type.Literal(true),
    data: Type.Array(item),
    count: Type.Integer({ description: 'items in this page' }),
    next_cursor: Type.Optional(Type.String({ description: 'present when there is more: pass it as cursor' })),
  })

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    success: Type.Literal(false),
    code: Type.String({ description: 'stable; the texts are not' }),
    trace_id: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  },
  { title: 'Problem', additionalProperties: true, description: 'RFC 9457, with facts of the error as further members' },
)
export type Problem = Static<typeof Problem>
