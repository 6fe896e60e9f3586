import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { Api, Contract } from './contract.ts'
import type { Database } from './db.ts'
import type { EventHandlers } from './events/consumer.ts'
import type { DeadLetterTable, InboxTable, OutboxTable } from './events/tables.ts'
import type { Metrics } from './metrics.ts'
import type { EventQueues } from './queue.ts'
import type { Upstream } from './upstream.ts'

type Contracts = Record<string, Contract>
export type Calls<Needs extends Contracts> = { readonly [K in keyof Needs]: Api<Needs[K]> }

/** What the composition root gives a module. */
export interface Host<Needs extends Contracts = Contracts> {
  readonly calls: Calls<Needs>
  readonly db: Database
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly queues: EventQueues
  /** To be called after a commit that wrote outbox rows. */
  readonly nudge: () => void
  /** Modules with public routes that are not in this process: where the gateway finds them. */
  readonly remotes: readonly Remote[]
}

export interface Remote {
  readonly name: string
  readonly paths: readonly string[]
  readonly upstream: Upstream
}

/** What a module gives back. */
export interface Parts<C extends Contract = Contract> {
  /** Its functions for other modules. */
  readonly api: Api<C>
  /** Public routes, mounted below /api/v1. */
  readonly routes?: (app: FastifyInstance) => Promise<void>
  /** Hooks and routes of the whole server, registered before any route: the gateway's guard. */
  readonly server?: (app: FastifyInstance) => Promise<void>
  readonly handlers?: EventHandlers
  /** Writes the sample data; does nothing where there is data already. */
  readonly seed?: () => Promise<void>
  /** More to show in /health. */
  readonly health?: () => Record<string, unknown>
  readonly close?: () => Promise<void>
}

export interface ModuleDefinition<C extends Contract = Contract, Needs extends Contracts = Contracts> {
  readonly contract: C
  readonly needs: Needs
  /** The module's own event tables; a module without a database has none. */
  readonly tables?: { readonly outbox: OutboxTable; readonly inbox?: InboxTable; readonly deadLetters?: DeadLetterTable }
  readonly create: (host: Host<Needs>) => Parts<C> | Promise<Parts<C>>
}

export const defineModule = <C extends Contract, const Needs extends Contracts>(definition: ModuleDefinition<C, Needs>) =>
  definition
