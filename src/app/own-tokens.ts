import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { createRejection } from '../platform/auth/rejected-tokens.ts'
import { createServiceAccount } from '../platform/auth/service-account.ts'
import { createServiceTokens, type ServiceTokens } from '../platform/auth/service-tokens.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import type { Metrics } from '../platform/observability/metrics.ts'
import type { ModuleName } from '../registry.ts'
import { calledNames, type Definitions } from './topology.ts'

export interface OwnTokensOptions {
  readonly definitions: Definitions
  readonly config: Config
  readonly keys: KeyStore
  readonly metrics: Metrics
  readonly log: Logger
}

/** The tokens of a module of this process: each signs for itself, also if several share a process. Undefined with AUTH=off. */
export const createOwnTokens = ({ definitions, config, keys, metrics, log }: OwnTokensOptions) => {
  const rejection = createRejection({
    log,
    count: metrics.counter('service_tokens_rejected_total', 'calls of this process whose own token another service refused'),
  })
  const withAccount =
    config.serviceAccount && createServiceAccount({ ...config.serviceAccount, called: calledNames(definitions, config) })
  const tokens = new Map(
    config.selected.map((name) => {
      const own = createServiceTokens(keys, name, rejection)
      return [name, withAccount ? withAccount(name, own) : own]
    }),
  )
  return (name: ModuleName): ServiceTokens | undefined => (config.auth ? tokens.get(name) : undefined)
}
