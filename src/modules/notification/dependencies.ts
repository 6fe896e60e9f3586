import { use } from '../../platform/contract.ts'
import { userContract } from '../user/contract.ts'

export const dependencies = { users: use(userContract, 'getUser', 'issueMailToken') }
