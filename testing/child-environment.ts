import { runVariables } from './run.ts'

const handedOn = ['PATH', 'NODE_COMPILE_CACHE', runVariables.folder]

/** The environment of every process that a test starts: PATH, and the test run that it belongs to. */
export const childEnvironment = (): Record<string, string> =>
  Object.fromEntries(handedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
