import { exitStatus } from './exit-status.ts'

/**
 * Imported first by every program, which imports the rest dynamically afterwards: an older Node.js would fail in a dependency
 * before it could report the cause.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `OrderHub needs Node.js 22.19 or later, and this is ${process.versions.node}; npm scripts use the one in node_modules`,
  )
  process.exit(exitStatus.config)
}
