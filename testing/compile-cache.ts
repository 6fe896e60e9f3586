import { fileURLToPath } from 'node:url'

/** Where Node.js keeps what it has compiled, for the next process: it halves the time that a service takes to start. */
export const compileCache = fileURLToPath(new URL('../node_modules/.cache/node-compile', import.meta.url))
