import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { serviceNames } from '../../src/environment.ts'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

export type Variables = Readonly<Record<string, string>>

/** Runs the docker client with the engine of DOCKER_HOST or the context. @throws with its output */
export const docker = async (args: readonly string[], env: Variables = {}): Promise<string> => {
  const { stdout } = await execute('docker', args, { cwd: root, env: { ...process.env, ...env }, maxBuffer: 64 * 2 ** 20 })
  return stdout.trim()
}

export interface Composition {
  readonly profile: 'split' | 'monolith'
  /** The services that run this repository's image. */
  readonly services: readonly string[]
  compose(...args: readonly string[]): Promise<string>
  /** Runs a command in a service's container. */
  inside(service: string, ...command: readonly string[]): Promise<string>
  /** The published address of a service's port. */
  addressOf(service: string, port: number): Promise<string>
  containerOf(service: string): Promise<string>
  stop(): Promise<void>
}

const services = {
  split: serviceNames,
  monolith: ['monolith'],
}

/** Starts docker-compose.yml with `env` in the shell, under its own project name. */
export const startComposition = async (profile: 'split' | 'monolith', env: Variables): Promise<Composition> => {
  const project = `orderhub-e2e-${process.pid}`
  // Separate services are the default, without a profile.
  const options = profile === 'split' ? [] : ['--profile', profile]
  const files = ['-f', 'docker-compose.yml', '-f', 'test/compose/sink.yml']
  const compose = (...args: readonly string[]) =>
    docker(['compose', '--progress', 'quiet', '-p', project, ...files, ...options, ...args], env)
  const stop = async () => {
    await compose('down', '--volumes', '--remove-orphans', '--timeout', '5')
  }
  try {
    await compose('up', '--detach', '--wait', '--wait-timeout', '240')
  } catch (error) {
    console.error(await compose('ps', '--all'), await compose('logs', '--tail', '15'))
    await stop()
    throw error
  }
  return {
    profile,
    services: services[profile],
    compose,
    inside: (service, ...command) => compose('exec', '-T', service, ...command),
    addressOf: (service, port) => compose('port', service, String(port)),
    containerOf: (service) => compose('ps', '--all', '--quiet', service),
    stop,
  }
}
