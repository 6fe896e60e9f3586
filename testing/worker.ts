/**
 * Runs test files one after another and prints TAP. The packages and `src` are loaded only once, and stay optimized by V8 (ADR 0059).
 * tap's CLI still runs each file in its own process.
 */
import { EventEmitter, once } from 'node:events'
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { askForFile, type WorkerOrder } from './worker-messages.ts'

/** Milliseconds after the last file in which the process must end by itself. */
const timeToExit = Number(process.env.TEST_WORKER_EXIT_MS ?? 30_000)
/** Bytes. Above this, collecting garbage costs more than loading everything again in a new worker. */
const mostMemory = 450 * 1024 * 1024
const scheme = 'test-of:'
const testOf = new Map<string, Test>()

/** In a test file, `import t from 'tap'` is the subtest of this file. */
Object.assign(globalThis, { testOfFile: (url: string) => testOf.get(url) })
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'tap' && testOf.has(context.parentURL ?? '')
      ? { url: `${scheme}${context.parentURL}`, format: 'module', shortCircuit: true }
      : next(specifier, context),
  load: (url, context, next) =>
    url.startsWith(scheme)
      ? { source: `export default testOfFile(${JSON.stringify(url.slice(scheme.length))})`, format: 'module', shortCircuit: true }
      : next(url, context),
})

const orders = new EventEmitter()
process.on('message', (order: WorkerOrder) => orders.emit('order', order))
process.once('disconnect', () => process.exit(1))

const nextFile = async (): Promise<string | undefined> => {
  // tap lets the process end while the channel is open.
  process.channel?.ref()
  process.send?.(askForFile)
  const [{ file }]: [WorkerOrder] = (await once(orders, 'order')) as [WorkerOrder]
  return file
}

t.setTimeout(0)
const isFull = () => process.memoryUsage.rss() > mostMemory
for (let file = await nextFile(); file !== undefined; file = isFull() ? undefined : await nextFile()) {
  const url = pathToFileURL(resolve(file)).href
  await t.test(file, async (test) => {
    testOf.set(url, test)
    await import(url)
  })
}
process.removeAllListeners('disconnect')
process.disconnect()
setTimeout(() => {
  console.error(`a test file left resources open: ${process.getActiveResourcesInfo().join(', ')}`)
  process.exit(1)
}, timeToExit).unref()
