import type { Test } from 'tap'
import { serviceNames } from '../src/environment.ts'
import { type RunningApp, runApp } from './app.ts'
import { type RunningGateway, runGateway } from './gateway.ts'

const services = serviceNames.filter((name) => name !== 'gateway')

export interface Split {
  readonly gateway: RunningGateway
  /** All other services, on another port. */
  readonly services: RunningApp
}

/** A gateway that forwards over HTTP to all services, both in this process: the cheapest split topology. */
export const runSplit = async (t: Test, env: Record<string, string> = {}): Promise<Split> => {
  const running = await runApp(t, { ...env, SERVICE: services.join(',') })
  const urls = Object.fromEntries(services.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, running.url]))
  const gateway = await runGateway(t, { ...env, ...urls, KEYS_DIR: running.keysDir })
  return { gateway, services: running }
}
