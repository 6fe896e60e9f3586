import { use } from '../../platform/contract.ts'
import { productContract } from '../product/contract.ts'
import { userContract } from '../user/contract.ts'

export const dependencies = {
  users: use(userContract, 'getUser', 'getUsers'),
  products: use(productContract, 'getProducts'),
}
