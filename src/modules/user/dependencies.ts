import { use } from '../../platform/contract.ts'
import { notificationContract } from '../notification/contract.ts'
import { orderContract } from '../order/contract.ts'

/** An export includes what other modules know of a person, as far as they respond. */
export const optionalDependencies = {
  orders: use(orderContract, 'getOrdersOf'),
  notifications: use(notificationContract, 'getNotificationsOf'),
}
