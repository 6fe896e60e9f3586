import { context as activeContext, propagation, type SpanKind, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('orderhub')

/** Runs `work` as a span of the trace in `traceparent`, if telemetry is on. */
export const inSpan = <T>(name: string, kind: SpanKind, traceparent: string | undefined, work: () => Promise<T>): Promise<T> => {
  const parent = propagation.extract(activeContext.active(), { traceparent })
  return tracer.startActiveSpan(name, { kind }, parent, (span) => work().finally(() => span.end()))
}
