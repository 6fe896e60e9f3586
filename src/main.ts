import './platform/node-version.ts'

const { limitHeap } = await import('./platform/heap.ts')
limitHeap(process.env)

// Telemetry must come before what it instruments.
const { startTelemetry, wantsTelemetry } = await import('./platform/telemetry.ts')
const endTelemetry = wantsTelemetry(process.env) ? await startTelemetry(`orderhub-${process.env.SERVICE ?? 'all'}`) : undefined

const { loadDrizzle } = await import('./platform/drizzle-loading.ts')
await loadDrizzle()
const { run } = await import('./run.ts')
await run(process.env, endTelemetry)
