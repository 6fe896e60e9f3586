import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Agent } from 'undici'
import type { Config } from '../config.ts'
import type { ServiceTokens } from './auth/service-tokens.ts'
import type { RetryPolicy } from './concurrency/retry.ts'
import type { Api, Contract } from './contract.ts'
import type { Database } from './db/database.ts'
import type { EventHandlers } from './events/consumer.ts'
import type { DeliveryLimiter } from './events/delivery-limiter.ts'
import type { EventContext } from './events/event.ts'
import type { DeadLetterTable, InboxTable, OutboxTable } from './events/tables.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { Metrics } from './observability/metrics.ts'
import type { EventQueues } from './queue/event-queues.ts'
import type { Upstream } from './upstream/upstream.ts'

type Contracts = Record<string, Contract>
export type Calls<Needs extends Contracts> = { readonly [K in keyof Needs]: Api<Needs[K]> }
/** Undefined where the module is neither in this process nor reachable by URL. */
export type Asks<Asked extends Contracts> = { readonly [K in keyof Asked]: Api<Asked[K]> | undefined }

/** What the composition root gives a module. */
export interface ModuleContext<Needs extends Contracts = Contracts, Asked extends Contracts = Contracts> {
  readonly calls: Calls<Needs>
  /** Not to be called before the process serves: the module may be created after this one. */
  readonly asks: Asks<Asked>
  readonly db: Database
  readonly config: Config
  readonly keys: KeyStore
  /** For calls to other services in the name of whoever asks; undefined with AUTH=off. */
  readonly tokens: ServiceTokens | undefined
  /** How connections to other services are opened: with this process's certificate, where it has one. */
  readonly connect: Agent.Options['connect']
  readonly log: Logger
  readonly metrics: Metrics
  readonly queues: EventQueues
  /** How often what failed is tried again: messages as events. */
  readonly retry: RetryPolicy
  /** Work in the background takes turns with the process' consumers. */
  readonly deliveryLimiter: DeliveryLimiter
  /** To be called after a commit that wrote outbox rows. */
  readonly wake: () => void
  /** Modules with public routes that are not in this process: where the gateway finds them. */
  readonly remotes: readonly Remote[]
}

export interface Remote {
  readonly name: string
  /** Its public routes below /api/v1, as in `GET /orders/:id`. */
  readonly routes: readonly string[]
  readonly upstream: Upstream
}

/** How the first person signs in to a new system. */
export interface FirstSignIn {
  readonly email: string
  /** Made up and told this once; undefined where somebody knows it already. */
  readonly password: string | undefined
}

/** What a module gives back. */
export interface ModuleInstance<C extends Contract = Contract> {
  /** Its functions for other modules. */
  readonly api: Api<C>
  /** Public routes, mounted below /api/v1. */
  readonly routes?: (app: FastifyInstance) => Promise<void>
  /** Hooks and routes of the whole server, registered before any route: the gateway's guard. */
  readonly server?: (app: FastifyInstance) => Promise<void>
  /** Routes outside the API: pages for people. */
  readonly pages?: (app: FastifyInstance) => Promise<void>
  readonly handlers?: EventHandlers
  /** Writes the sample data; does nothing where there is data already. */
  readonly seed?: () => Promise<void>
  /** More to show in /health. */
  readonly health?: () => Record<string, unknown>
  /**
   * Sees to it that somebody can sign in: whom the configuration names or, with `generate`, somebody with a password that
   * is made up. @returns undefined when nobody can
   */
  readonly firstSignIn?: (generate: boolean, context: EventContext) => Promise<FirstSignIn | undefined>
  /**
   * Gives the administrator with this address, or the first one, a new password that is made up, and ends their sign-ins.
   * @returns undefined where there is no such administrator
   */
  readonly resetAdmin?: (email: string | undefined, context: EventContext) => Promise<FirstSignIn | undefined>
  /** Begins work of its own, when the process serves; `close` ends it. */
  readonly start?: () => void
  readonly close?: () => Promise<void>
}

export interface ModuleDefinition<
  C extends Contract = Contract,
  Needs extends Contracts = Contracts,
  Asked extends Contracts = Contracts,
> {
  readonly contract: C
  readonly needs: Needs
  /** What it can do without, and asks when a request wants it: no part of the order in which modules start (docs/adr/0010). */
  readonly asks?: Asked
  /** The module's own event tables; a module without a database has none. */
  readonly tables?: { readonly outbox: OutboxTable; readonly inbox?: InboxTable; readonly deadLetters?: DeadLetterTable }
  /** The database role that its statements run as; otherwise the login's own. */
  readonly databaseRole?: string
  readonly create: (host: ModuleContext<Needs, Asked>) => ModuleInstance<C> | Promise<ModuleInstance<C>>
}

export const defineModule = <
  C extends Contract,
  const Needs extends Contracts,
  const Asked extends Contracts = Record<never, never>,
>(
  definition: ModuleDefinition<C, Needs, Asked>,
) => definition
