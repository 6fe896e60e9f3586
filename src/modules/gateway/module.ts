import { defineModule } from '../../platform/module.ts'
import { gatewayContract } from './contract.ts'

export default defineModule({
  contract: gatewayContract,
  needs: {},
  create: () => ({ api: {} }),
})
