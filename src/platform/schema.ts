import { Ajv, type SchemaValidateFunction, type ValidateFunction } from 'ajv'
import addFormatsModule from 'ajv-formats'
import { type Static, type TSchema, Type } from 'typebox'
import { isCurrency } from './currency.ts'
import { fail } from './errors.ts'
import { fieldErrors, mostLookedAt } from './field-errors.ts'
import { type FormName, forms, type InputForm } from './normal-form.ts'

const addFormats = addFormatsModule.default
// verbose: a union's message needs its branches.
const common = { verbose: true, useDefaults: true, removeAdditional: false, strict: false, coerceTypes: false } as const

const realDateTime = addFormats.get('date-time') as { validate: (text: string) => boolean }
/** RFC 3339 without the values that PostgreSQL rejects: the year 0000, an offset of 16 hours, endless fractions. */
const dateTimeForm = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-](0\d|1[0-5]):\d\d)$/i
/** Only the plain form of RFC 9562; the usual format also accepts `urn:uuid:`, which PostgreSQL rejects. */
const uuidForm = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
const formKeyword = 'x-normal-form'

/** A text that validation normalizes, and then checks. */
export const Text = (form: FormName, options: object = {}) => Type.String({ ...options, [formKeyword]: form })

const toNormalForm: SchemaValidateFunction = (form: FormName, typed: string, schema, context) => {
  const { maxLength = 4000 } = schema as { maxLength?: number }
  // Too long in any form: do not process it.
  if (typed.length > 8 * maxLength || !context) return true
  const { normal, problem }: InputForm = forms[form]
  const text = normal(typed)
  context.parentData[context.parentDataProperty] = text
  const found = problem?.(text)
  toNormalForm.errors = found && [{ keyword: formKeyword, message: found.en, params: { texts: found } }]
  return found === undefined
}

const withFormats = (ajv: Ajv): Ajv =>
  addFormats(ajv)
    .addKeyword({
      keyword: formKeyword,
      type: 'string',
      before: 'maxLength',
      modifying: true,
      errors: true,
      validate: toNormalForm,
    })
    .addFormat('date-time', (text) => dateTimeForm.test(text) && realDateTime.validate(text))
    .addFormat('currency', isCurrency)
    .addFormat('uuid', uuidForm)

/** Stops at the first error, so its work does not grow with their number. */
const quick = withFormats(new Ajv({ ...common, allErrors: false }))
/** Lists every error, for small values. */
const thorough = withFormats(new Ajv({ ...common, allErrors: true }))
const small = { values: 1000, characters: 50_000 } as const

/** Whether listing all its errors is cheap. Stops counting when it is not. */
const isSmall = (value: unknown): boolean => {
  let characters = 0
  const values = [value]
  for (let n = 0; n < values.length; n++) {
    const item = values[n]
    if (typeof item === 'string') characters += item.length
    if (values.length > small.values || characters > small.characters) return false
    if (typeof item !== 'object' || item === null) continue
    // for..in converts every index of an array to text before its first iteration.
    if (Array.isArray(item) && values.length + item.length > small.values) return false
    for (const key in item) {
      characters += key.length
      values.push((item as Record<string, unknown>)[key])
      if (values.length > small.values) return false
    }
  }
  return true
}

/** A parameter's text as a number or a boolean, each in one form only: `01`, `+1`, `1e0` and `0x1` are no numbers. */
const readers: Readonly<Record<string, (text: string) => unknown>> = {
  integer: (text) => (/^(0|-?[1-9]\d{0,15})$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' ? true : text === 'false' ? false : text),
}

/** Converts numbers and booleans according to the schema, in place. */
const readParameters = (schema: object): ((values: Record<string, unknown>) => void) => {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> }
  const typed = Object.entries(properties).flatMap(([name, { type = '' }]) => {
    const read = readers[type]
    return read ? [{ name, read }] : []
  })
  return (values) => {
    for (const { name, read } of typed) {
      const text = values[name]
      if (typeof text === 'string') values[name] = read(text)
    }
  }
}

type Validate = Pick<ValidateFunction, 'errors'> & ((value: unknown) => boolean)

/**
 * A validator that sets defaults; for the query, the path and the headers also one that reads numbers and booleans from text. It
 * lists every error of a small value, and the first one of a large value.
 */
export const compile = (schema: TSchema | object, part?: string): Validate => {
  const read = part === 'querystring' || part === 'params' || part === 'headers' ? readParameters(schema) : undefined
  const check = quick.compile(schema)
  let name: ValidateFunction | undefined
  const validate: Validate = (value) => {
    read?.(value as Record<string, unknown>)
    const fits = check(value)
    validate.errors = check.errors ?? null
    if (fits) return true
    if (isSmall(value)) {
      name ??= thorough.compile(schema)
      name(value)
      validate.errors = name.errors?.slice(0, mostLookedAt) ?? validate.errors
    }
    return false
  }
  return validate
}

const validators = new WeakMap<object, Validate>()

/** The value itself, with its defaults set. @throws Failure request.invalid with errors[] */
export const parse = <S extends TSchema>(schema: S, value: unknown): Static<S> => {
  const validate = validators.get(schema) ?? compile(schema)
  validators.set(schema, validate)
  if (!validate(value)) throw fail('request.invalid', { errors: fieldErrors(validate.errors) })
  return value as Static<S>
}

/** Largest value of PostgreSQL's integer: a larger id cannot exist, and must not reach a statement. */
const isClean = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

/**
 * For the parameters of a path or a query. PostgreSQL cannot store NUL, and UTF-8 cannot encode a lone surrogate: either would
 * fail late, as a server error. @throws Failure request.invalid_text
 */
export const assertCleanText = (parameters: unknown): void => {
  for (const [name, value] of Object.entries(parameters ?? {}))
    if (!isClean(name) || !isClean(String(value))) throw fail('request.invalid_text')
}

export const maxId = 2_147_483_647
export const Id = Type.Integer({ minimum: 1, maximum: maxId })
/** An id in a path. `example` is a row of the sample data: the reference's examples can be copied and run. */
export const exampleId = (example: number) => Type.Integer({ ...Id, examples: [example] })
export const idParams = (example: number) => Type.Object({ id: exampleId(example) }, { additionalProperties: false })
export const Timestamp = Type.String({ format: 'date-time', description: 'ISO 8601, UTC' })
/** An amount of money. */
export const inMinorUnits =
  'integer, in the minor unit of the currency by ISO 4217: cents for USD, whole yen for JPY, and by decision whole dollars for TWD'
/** For input only; amounts stored before the codes were checked are still returned. */
export const Currency = Type.String({ format: 'currency', description: 'ISO 4217 code with a minor unit' })
export const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])

/** An object that refuses unknown fields. */
export const Strict = <P extends Record<string, TSchema>>(properties: P, options: object = {}) =>
  Type.Object(properties, { ...options, additionalProperties: false })

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
