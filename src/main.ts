const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `OrderHub needs Node.js 22.19 or later, and this is ${process.versions.node}; npm scripts use the one in node_modules`,
  )
  process.exit(78)
}

// Not a static import: an older Node would fail in a dependency before the line above could run.
const { run } = await import('./run.ts')
await run(process.env)

export {}
