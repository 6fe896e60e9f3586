/** Imported by tap before each test file: `node-arg` in package.json. */
import { enableCompileCache } from 'node:module'
import processOnSpawn from 'process-on-spawn'
import { describeDrizzle } from '../src/platform/boot/drizzle-loading.ts'
import { compileCache } from './compile-cache.ts'

describeDrizzle()

// With the cache, coverage is less exact (Node.js, module.enableCompileCache).
if (process.env._TAPJS_PROCESSINFO_COVERAGE_ === '0') {
  enableCompileCache(compileCache)
  process.env.NODE_COMPILE_CACHE = compileCache
  // Node.js that a test starts would load tap's hooks too, which are there for coverage and double the time of a start.
  processOnSpawn.removeAllListeners()
  delete process.env.NODE_OPTIONS
  process.execArgv = []
  // Stripped types leave every line and column where it was.
  process.setSourceMapsEnabled(false)
}
