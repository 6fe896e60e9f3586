import { type DestinationStream, type Logger, pino } from 'pino'
import { safeMessage, withoutContacts } from './redact.ts'

/** Secrets and personal data, in any log call. */
const hidden = new Set(['password', 'authorization', 'cookie', 'token', 'email', 'phone', 'to', 'text', 'subject'])
const isHidden = (key: string, parent: string): boolean =>
  hidden.has(key) || (key === 'name' && (parent === 'user' || parent === 'body'))

const isData = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

const deepest = 6

/**
 * The value itself if it contains nothing secret, otherwise a copy. pino's own redaction, with wildcards, takes eight times as
 * long.
 */
const redact = (value: Record<string, unknown>, parent = '', depth = 1): Record<string, unknown> => {
  let copy: Record<string, unknown> | undefined
  for (const [key, item] of Object.entries(value)) {
    let shown = item
    if (isHidden(key, parent) && item !== undefined) shown = '[redacted]'
    else if (typeof item === 'string') shown = withoutContacts(item)
    else if (isData(item)) shown = depth < deepest ? redact(item, key, depth + 1) : '[too deep]'
    if (shown === item) continue
    copy ??= Array.isArray(value) ? Object.assign([], value) : { ...value }
    copy[key] = shown
  }
  return copy ?? value
}

/**
 * JSON lines on standard output (or `stream`). A field named like a secret or like personal data is written as [redacted], and so
 * is every e-mail address and telephone number, in any text.
 */
export const createLog = (level: string, service: string, stream?: DestinationStream): Logger =>
  pino(
    {
      // The configuration, which is read later, reports an invalid level.
      level: level in pino.levels.values || level === 'silent' ? level : 'info',
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redact, bindings: redact },
      serializers: { err: serializeError },
      hooks: {
        logMethod(input, method) {
          const [first] = input as unknown[]
          // Without our own message, pino would use the error's, unredacted.
          const parts: unknown[] = first instanceof Error && input.length === 1 ? [first, first.message] : input
          method.apply(this, parts.map((part) => (typeof part === 'string' ? withoutContacts(part) : part)) as typeof input)
        },
      },
    },
    // Lines are buffered for a moment: a write for each would take a tenth of a request. Exit handlers write the rest.
    stream ?? pino.destination({ dest: 1, sync: false, minLength: 4096, periodicFlush: 100 }),
  )

/**
 * A driver's error contains its parameters, which can be personal data, and so can its message: only the identifying fields are
 * kept.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const message = safeMessage(error)
  const { code, severity, routine, constraint_name } = error as Error & Record<string, unknown>
  return {
    type: error.name,
    message,
    code,
    severity,
    routine,
    constraint: constraint_name,
    stack: withoutContacts((error.stack ?? '').replace(error.message, () => message)),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  }
}
