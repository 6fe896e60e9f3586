import { auditContract } from './modules/audit/contract.ts'
import { gatewayContract } from './modules/gateway/contract.ts'
import { notificationContract } from './modules/notification/contract.ts'
import { orderContract } from './modules/order/contract.ts'
import { productContract } from './modules/product/contract.ts'
import { userContract } from './modules/user/contract.ts'
import { type Contract, everyEvent } from './platform/contract.ts'
import type { Routes } from './platform/events/repository.ts'
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

/** The queues of every event type's subscribers; a queue has its module's name. */
export const eventRoutes: Routes = Object.fromEntries(
  Object.values(registry)
    .flatMap(({ contract }) => Object.keys(contract.events))
    .map((type) => [
      type,
      Object.values(registry)
        .filter(({ contract }) => contract.subscribes.includes(type) || contract.subscribes.includes(everyEvent))
        .map(({ contract }) => contract.name),
    ]),
)
