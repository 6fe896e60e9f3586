import type { User } from './contract.ts'
import type { WrittenUser } from './user-row.sql.ts'

export type SampleUser = WrittenUser & Pick<User, 'id' | 'created_at'>

export const sampleUsers: readonly SampleUser[] = [
  {
    id: 1,
    name: '陳小明',
    email: 'xiaoming@example.com',
    phone: '+886900000001',
    role: 'admin',
    locale: 'zh-TW',
    created_at: '2025-01-01T10:00:00Z',
  },
  {
    id: 2,
    name: '林小華',
    email: 'xiaohua@example.com',
    phone: '+886900000002',
    role: 'user',
    locale: 'zh-TW',
    created_at: '2025-01-15T14:30:00Z',
  },
  {
    id: 3,
    name: '王小美',
    email: 'xiaomei@example.com',
    phone: '+886900000003',
    role: 'user',
    locale: 'zh-TW',
    created_at: '2025-02-01T09:15:00Z',
  },
]
