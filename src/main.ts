const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `OrderHub needs Node.js 22.19 or later, and this is ${process.versions.node}; npm scripts use the one in node_modules`,
  )
  process.exit(78)
}

const { limitHeap } = await import('./platform/heap.ts')
limitHeap(process.env)

// No static import: an older Node would fail in a dependency before the line above could run, and telemetry must come
// before what it instruments.
const { startTelemetry, wantsTelemetry } = await import('./platform/telemetry.ts')
const endTelemetry = wantsTelemetry(process.env) ? await startTelemetry(`orderhub-${process.env.SERVICE ?? 'all'}`) : undefined

const { loadDrizzle } = await import('./platform/drizzle-loading.ts')
await loadDrizzle()
const { run } = await import('./run.ts')
await run(process.env, endTelemetry)

export {}
