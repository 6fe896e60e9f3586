import { createServer } from 'node:net'
import { npmLine } from '../commands/command-line.ts'
import type { Config } from '../config.ts'
import { findPortHolder, type PortHolder } from '../platform/boot/port-holder.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Ports that browsers refuse to open (the Fetch standard, "bad port"), among those that are suggested here. */
const refusedByBrowsers = new Set([5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 10_080])

export const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })

/** A free port, the wanted one or one `step` further. */
export const freePort = async (host: string, wanted: number, step: number, not?: ReadonlySet<number>): Promise<number> => {
  const near = wanted + step + 200 > 65_535 ? 20_000 : wanted + step
  const candidates = [wanted, ...Array.from({ length: 200 }, (_, index) => near + index)]
  for (const port of candidates) {
    if (!not?.has(port) && !refusedByBrowsers.has(port) && (await isFree(host, port))) return port
  }
  return 0
}

/** The script, by its npm name. */
const scripts: Readonly<Record<string, string>> = { dev: 'run dev', 'start:split': 'run start:split' }

const described = ({ name, pid }: PortHolder, platform: NodeJS.Platform): string => {
  const airPlay = platform === 'darwin' && name.startsWith('ControlCe')
  const off = ', the AirPlay Receiver, which System Settings > General > AirDrop & Handoff turns off'
  return ` by ${name} (process ${pid})${airPlay ? off : ''}`
}

/** One line for a port in use, in development: which program uses it, and how to start with free ones. */
export const takenPortLine = async (
  port: number,
  config: Pick<Config, 'host' | 'port' | 'metricsPort'>,
  env: Env,
  platform: NodeJS.Platform = process.platform,
): Promise<string> => {
  const holder = await findPortHolder(port)
  const http = await freePort(config.host, config.port, 50)
  const metrics = await freePort(config.host, config.metricsPort, 1, new Set([http]))
  const { SERVICE, DATA_DIR, KEYS_DIR } = env
  const variables = {
    SERVICE,
    DATA_DIR,
    KEYS_DIR,
    PORT: http === config.port ? env.PORT : String(http),
    METRICS_PORT: metrics === config.metricsPort ? env.METRICS_PORT : String(metrics),
  }
  const line = npmLine(scripts[env.npm_lifecycle_event ?? ''] ?? 'start', variables, platform)
  return `port ${port} is in use${holder ? described(holder, platform) : ''}; this starts beside it: ${line}`
}
