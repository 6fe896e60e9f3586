import './platform/boot/node-version.ts'

const { limitHeap } = await import('./platform/boot/heap.ts')
limitHeap(process.env)

// Telemetry must start before the modules that it instruments.
const { startTelemetry, wantsTelemetry } = await import('./platform/observability/telemetry.ts')
const endTelemetry = wantsTelemetry(process.env) ? await startTelemetry(`orderhub-${process.env.SERVICE ?? 'all'}`) : undefined

const { loadPackages } = await import('./platform/boot/package-loading.ts')
await loadPackages()
const { run } = await import('./app/start.ts')
await run(process.env, endTelemetry)
