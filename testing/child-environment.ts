import { runVariables } from './run.ts'

const handedOn = ['PATH', 'NODE_COMPILE_CACHE', runVariables.folder]

/** What every process that a test starts has in its environment: where programs are, and what run it belongs to. */
export const childEnvironment = (): Record<string, string> =>
  Object.fromEntries(handedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
