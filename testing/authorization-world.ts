import type { Test } from 'tap'
import { type Answer, call } from './app.ts'
import { eventually } from './eventually.ts'
import { signedIn } from './people.ts'
import { startSystem } from './system.ts'

/** A running platform with sample data, at its public address. */
export interface Entrance {
  readonly url: string
  readonly keysDir: string
}

export type Headers = Record<string, string>

/** The caller, by role. `owner` owns the resource; `other` is another customer. */
export const persons = ['nobody', 'owner', 'other', 'support', 'auditor', 'admin'] as const
export type Person = (typeof persons)[number]

let count = 0
export const unique = (): string => `${process.pid}-${++count}`

const sent = async (answer: Promise<Answer>): Promise<Answer['body']> => {
  const { status, body } = await answer
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`)
  return body.data
}

/** A person of each role, and resources for their requests. */
export const createWorld = async ({ url, keysDir }: Entrance) => {
  const admin = await signedIn(keysDir, 1)
  const api = (path: string, method = 'GET', body?: unknown, headers: Headers = admin) =>
    call(`${url}/api/v1${path}`, method, body, headers)
  const person = async (role: string): Promise<{ id: number; headers: Headers }> => {
    const { id } = await sent(api('/users', 'POST', { name: role, email: `${role}-${unique()}@example.com`, role }))
    return { id, headers: await signedIn(keysDir, id) }
  }
  const order = async (user_id: number): Promise<{ id: number; user_id: number }> =>
    sent(api('/orders', 'POST', { user_id, items: [{ product_id: product.id, quantity: 1 }] }))
  const newProduct = async (): Promise<{ id: number }> =>
    sent(api('/products', 'POST', { sku: `SKU-${unique()}`, name: 'Thing', price: 10 }))
  const product = await newProduct()
  const [owner, other, support, auditor] = await Promise.all(['user', 'user', 'support', 'auditor'].map(person))
  if (!owner || !other || !support || !auditor) throw new Error('missing people')
  await order(owner.id)
  const notification: { id: number } = await eventually(
    async () => (await api(`/notifications?user_id=${owner.id}`)).body.data[0] ?? false,
  )
  const headers: Record<Person, Headers> = {
    nobody: {},
    owner: owner.headers,
    other: other.headers,
    support: support.headers,
    auditor: auditor.headers,
    admin,
  }
  return { url, keysDir, api, headers, owner, other, support, person, order, product, newProduct, notification }
}
export type World = Awaited<ReturnType<typeof createWorld>>

/** Separate services with these people and resources, created within `timeoutMs`: some services may still be starting. */
export const startWorld = async (t: Test, env: Record<string, string>, timeoutMs: number) => {
  const system = await startSystem({ env: { AUTH: 'on', LOG_LEVEL: 'info', ...env } })
  t.teardown(() => system.stop())
  return { system, world: await eventually(() => createWorld(system), { timeoutMs }) }
}
