import { register } from 'node:module'
import type { NodeSDK } from '@opentelemetry/sdk-node'

type Env = Readonly<Record<string, string | undefined>>

/** Whether the environment, in OpenTelemetry's own variables, names an exporter endpoint. */
export const wantsTelemetry = (env: Env): boolean =>
  env.OTEL_SDK_DISABLED !== 'true' &&
  Object.entries(env).some(
    ([key, value]) =>
      value && value !== 'none' && /^OTEL_(EXPORTER_OTLP(_\w+)?_ENDPOINT|(TRACES|LOGS|METRICS)_EXPORTER)$/.test(key),
  )

/**
 * Starts OpenTelemetry with its automatic instrumentations, configured by the OTEL_* variables only. Call it before importing
 * anything that it instruments. Returns how to flush at the end.
 */
export const startTelemetry = async (service: string): Promise<() => Promise<void>> => {
  register('@opentelemetry/instrumentation/hook.mjs', import.meta.url)
  const [{ NodeSDK }, { getNodeAutoInstrumentations }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/auto-instrumentations-node'),
  ])
  const sdk: NodeSDK = new NodeSDK({
    serviceName: service,
    instrumentations: [getNodeAutoInstrumentations({ '@opentelemetry/instrumentation-fs': { enabled: false } })],
  })
  sdk.start()
  return () => sdk.shutdown().catch(() => {})
}
