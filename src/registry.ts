import { auditContract } from './modules/audit/contract.ts'
import { gatewayContract } from './modules/gateway/contract.ts'
import { notificationContract } from './modules/notification/contract.ts'
import * as notificationUses from './modules/notification/dependencies.ts'
import { orderContract } from './modules/order/contract.ts'
import * as orderUses from './modules/order/dependencies.ts'
import { productContract } from './modules/product/contract.ts'
import { userContract } from './modules/user/contract.ts'
import * as userUses from './modules/user/dependencies.ts'
import { type Contract, everyEvent, queuesOf, type Uses } from './platform/contract.ts'
import { type ErrorTable, platformErrors } from './platform/errors.ts'
import type { Subscription } from './platform/events/subscription-repository.ts'

/** What is known of a module without loading it. */
export interface Entry {
  readonly contract: Contract
  readonly dependencies?: Uses
  readonly optionalDependencies?: Uses
}

/**
 * The only list of modules, as data: what a process must know about modules that it does not run. The module itself is
 * src/modules/<name>/module.ts, which is imported only if it is selected.
 */
export const registry = {
  user: { contract: userContract, ...userUses },
  product: { contract: productContract },
  order: { contract: orderContract, ...orderUses },
  notification: { contract: notificationContract, ...notificationUses },
  audit: { contract: auditContract },
  gateway: { contract: gatewayContract },
} satisfies Record<string, Entry>

export type ModuleName = keyof typeof registry

export const moduleNames = Object.keys(registry) as ModuleName[]

const contracts: readonly Contract[] = Object.values(registry).map(({ contract }) => contract)

/** Every error code. */
export const errors: ErrorTable = Object.assign({}, platformErrors, ...contracts.map((contract) => contract.errors))

/** Tags of the OpenAPI document. */
export const tags: readonly string[] = contracts.flatMap((contract) => contract.tags)

/** Regulations that apply to a change, by the type of the changed resource. */
export const complianceTags: Readonly<Record<string, readonly string[]>> = Object.assign(
  {},
  ...contracts.map((contract) => contract.complianceTags),
)

const queues = contracts.flatMap(queuesOf)

/** Every queue that this version knows: for each subscribing module, one with its name and its separate ones. */
export const queueNames: readonly string[] = queues.map(([queue]) => queue)

/** The subscribers of a module's events. */
export const subscriptionsTo = (name: ModuleName): Subscription[] => {
  const published = [everyEvent, ...Object.keys(registry[name].contract.events)]
  return queues.flatMap(([queue, types]) => types.filter((type) => published.includes(type)).map((type) => ({ type, queue })))
}
