import { auditContract } from './modules/audit/contract.ts'
import { gatewayContract } from './modules/gateway/contract.ts'
import { notificationContract } from './modules/notification/contract.ts'
import { orderContract } from './modules/order/contract.ts'
import { productContract } from './modules/product/contract.ts'
import { userContract } from './modules/user/contract.ts'
import { type Contract, everyEvent, queuesOf } from './platform/contract.ts'
import type { Subscription } from './platform/events/subscription-repository.ts'
import type { ModuleDefinition } from './platform/module.ts'

interface Entry {
  /** Data alone: what a process must know of modules that it does not run. */
  readonly contract: Contract
  /** The module itself; not called, and so not imported, where it is not selected. */
  readonly load: () => Promise<{ readonly default: unknown }>
}

/** The one list of modules. */
export const registry = {
  user: { contract: userContract, load: () => import('./modules/user/module.ts') },
  product: { contract: productContract, load: () => import('./modules/product/module.ts') },
  order: { contract: orderContract, load: () => import('./modules/order/module.ts') },
  notification: { contract: notificationContract, load: () => import('./modules/notification/module.ts') },
  audit: { contract: auditContract, load: () => import('./modules/audit/module.ts') },
  gateway: { contract: gatewayContract, load: () => import('./modules/gateway/module.ts') },
} satisfies Record<string, Entry>

export type ModuleName = keyof typeof registry

export const loadModule = async (name: ModuleName): Promise<ModuleDefinition> => {
  const { default: definition } = await registry[name].load()
  return definition as ModuleDefinition
}

const contracts: readonly Contract[] = Object.values(registry).map(({ contract }) => contract)

const queues = contracts.flatMap(queuesOf)

/** Every queue that this version knows: one of each module that subscribes to something, with its name, and those apart. */
export const queueNames: readonly string[] = queues.map(([queue]) => queue)

/** The modules that take events of a type. */
export const subscribersOf = (type: string): string[] =>
  contracts.filter(({ subscribes }) => subscribes.includes(type) || subscribes.includes(everyEvent)).map(({ name }) => name)

/** Who takes what a module publishes. */
export const subscriptionsTo = (name: ModuleName): Subscription[] => {
  const published = [everyEvent, ...Object.keys(registry[name].contract.events)]
  return queues.flatMap(([queue, types]) => types.filter((type) => published.includes(type)).map((type) => ({ type, queue })))
}
