import { defineContract } from '../../platform/contract.ts'

/** Offers nothing to other modules and calls none. */
export const gatewayContract = defineContract({ name: 'gateway', port: 5000, stateless: true })
