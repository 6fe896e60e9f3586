/** tap imports this before each test file: `node-arg` in package.json. */
import { enableCompileCache } from 'node:module'
import processOnSpawn from 'process-on-spawn'
import { describePackages } from '../src/platform/boot/package-loading.ts'
import './without-async-hooks.ts'
import { compileCache } from './compile-cache.ts'

describePackages()

// With the cache, coverage is less precise (Node.js, module.enableCompileCache).
if (process.env._TAPJS_PROCESSINFO_COVERAGE_ === '0') {
  enableCompileCache(compileCache)
  process.env.NODE_COMPILE_CACHE = compileCache
  // Otherwise Node.js processes of tests would load tap's coverage hooks too, which double their start time.
  processOnSpawn.removeAllListeners()
  delete process.env.NODE_OPTIONS
  process.execArgv = []
  // Type stripping preserves lines and columns.
  process.setSourceMapsEnabled(false)
}
