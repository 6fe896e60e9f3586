import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Agent } from 'undici'
import type { Config } from '../config.ts'
import type { ServiceTokens } from './auth/service-tokens.ts'
import type { RetryPolicy } from './concurrency/retry.ts'
import type { Api, Client, Contract, Publisher, SubscribedBy, Uses } from './contract.ts'
import type { Database } from './db/database.ts'
import type { Failure } from './errors.ts'
import type { EventHandlers, HandlersOf } from './events/consumer.ts'
import type { DeliveryLimiter } from './events/delivery-limiter.ts'
import type { EventContext } from './events/event.ts'
import type { DeadLetterTable, InboxTable, OutboxTable } from './events/tables.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { Metrics } from './observability/metrics.ts'
import type { Upstream } from './upstream/upstream.ts'

export type Clients<D extends Uses> = { readonly [K in keyof D]: Client<D[K]> }
/** Undefined if the module is neither in this process nor reachable by URL. */
export type OptionalClients<D extends Uses> = { readonly [K in keyof D]: Client<D[K]> | undefined }

/** Resources of the composition root; a module gets those that its definition names in `uses`. */
export interface Resources {
  readonly db: Database
  readonly keys: KeyStore
  /** Retry policy for events and messages. */
  readonly retry: RetryPolicy
  /** Background work shares it with the consumers of the process. */
  readonly deliveryLimiter: DeliveryLimiter
  /** For the gateway: the services that requests are forwarded to. */
  readonly upstreams: Upstreams
}

/** What a module receives: only what its definition names. */
export type ModuleContext<
  D extends Uses = Uses,
  O extends Uses = Uses,
  K extends keyof Config = keyof Config,
  R extends keyof Resources = keyof Resources,
> = Pick<Resources, R> & {
  readonly clients: Clients<D>
  /** Do not call them before the process serves: their module may be created after this one. */
  readonly optionalClients: OptionalClients<O>
  readonly config: Pick<Config, K>
  readonly log: Logger
  readonly metrics: Metrics
  /** Registers how a part of the module stops: in reverse order, also if the module's creation fails afterwards. */
  readonly onStop: (part: string, run: () => unknown) => void
}

export interface Upstreams {
  /** Modules with public routes that are not in this process. */
  readonly remotes: readonly Remote[]
  /** For calls on behalf of the clients; undefined with AUTH=off. */
  readonly tokens: ServiceTokens | undefined
  /** How connections are opened: with this process's certificate, if it has one. */
  readonly connect: Agent.Options['connect']
}

export interface Remote {
  readonly name: string
  /** Its public routes below /api/v1, such as `GET /orders/:id`. */
  readonly routes: readonly string[]
  readonly upstream: Upstream
  /** Error for a service that does not respond. */
  readonly unavailable: (cause?: unknown) => Failure
}

/** How the first person signs in to a new system. */
export interface FirstSignIn {
  readonly email: string
  /** Generated, and returned only once; undefined if somebody knows it already. */
  readonly password: string | undefined
}

/** What a module provides. */
export type ModuleInstance<C extends Contract = Contract, P extends Publisher = never> = Parts<C> & Handling<C, P>

type Handling<C extends Contract, P extends Publisher> =
  string extends SubscribedBy<C>
    ? { readonly handlers?: EventHandlers }
    : [SubscribedBy<C>] extends [never]
      ? { readonly handlers?: never }
      : { readonly handlers: HandlersOf<C, P> }

interface Parts<C extends Contract> {
  /** Its functions for other modules. */
  readonly api: Api<C>
  /** Public routes, mounted below /api/v1. */
  readonly routes?: (app: FastifyInstance) => Promise<void>
  /** Hooks and routes of the whole server, registered before any route: the gateway's security headers. */
  readonly server?: (app: FastifyInstance) => Promise<void>
  /** Routes outside the API: pages for people. */
  readonly pages?: (app: FastifyInstance) => Promise<void>
  /** Writes the sample data; does nothing if there is data already. */
  readonly seed?: () => Promise<void>
  /** More fields in /health. */
  readonly health?: () => Record<string, unknown>
  /**
   * Ensures that somebody can sign in: the configured administrator or, with `generate`, one with a generated password. @returns
   * undefined if nobody can
   */
  readonly firstSignIn?: (generate: boolean, context: EventContext) => Promise<FirstSignIn | undefined>
  /**
   * Gives the administrator with this address, or the first one, a new generated password, and ends their sessions.
   * @returns undefined if there is no such administrator
   */
  readonly resetAdmin?: (email: string | undefined, context: EventContext) => Promise<FirstSignIn | undefined>
  /** Starts background work when the process serves. */
  readonly start?: () => void
}

export interface ModuleDefinition<
  C extends Contract = Contract,
  D extends Uses = Uses,
  O extends Uses = Uses,
  K extends keyof Config = keyof Config,
  R extends keyof Resources = keyof Resources,
  P extends readonly Contract[] = readonly Contract[],
> {
  readonly contract: C
  /** The contracts whose events it subscribes to, besides its own. */
  readonly publishers?: P
  /** From the module's dependencies.ts, which the registry reads too. */
  readonly dependencies?: D
  /** Dependencies that it can do without: they do not affect the order in which modules start (docs/adr/0010). */
  readonly optionalDependencies?: O
  /** Its part of the configuration. */
  readonly config?: readonly K[]
  readonly uses?: readonly R[]
  /** The module's own event tables; a module without a database has none. */
  readonly tables?: { readonly outbox: OutboxTable; readonly inbox?: InboxTable; readonly deadLetters?: DeadLetterTable }
  /** The database role of its statements; default: the login itself. */
  readonly databaseRole?: string
  readonly create: (context: ModuleContext<D, O, K, R>) => ModuleInstance<C, P[number]> | Promise<ModuleInstance<C, P[number]>>
}

export const defineModule = <
  C extends Contract,
  D extends Uses = Record<never, never>,
  O extends Uses = Record<never, never>,
  const K extends keyof Config = never,
  const R extends keyof Resources = never,
  const P extends readonly Contract[] = readonly [],
>(
  definition: ModuleDefinition<C, D, O, K, R, P>,
) => definition
