import { type DestinationStream, type Logger, pino } from 'pino'

/** Secrets and personal data, wherever a log call puts them. */
const hidden = ['password', 'authorization', 'cookie', 'token', 'email', 'phone', 'name', 'to', 'text', 'subject']

/** JSON lines on standard output (or `stream`). A field named like a secret or like personal data is written as [redacted]. */
export const createLog = (level: string, service: string, stream?: DestinationStream): Logger =>
  pino(
    {
      // One that does not exist is told by the configuration, which is read later.
      level: level in pino.levels.values || level === 'silent' ? level : 'info',
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: hidden.flatMap((key) => (key === 'name' ? ['user.name', 'body.name'] : [key, `*.${key}`, `*.*.${key}`])),
        censor: '[redacted]',
      },
      serializers: { err: serializeError },
    },
    stream ?? pino.destination({ dest: 1, sync: false }),
  )

/** A driver's error holds its parameters, which can be personal data: only what names the fault is kept. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const { code, severity, routine, constraint_name } = error as Error & Record<string, unknown>
  return {
    type: error.name,
    message: error.message,
    code,
    severity,
    routine,
    constraint: constraint_name,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  }
}
