/**
 * How much orders suffer while many people sign in at once: a password's hash takes a processor and 19 MiB for some 25 ms.
 */
import type { LoadOptions } from './load.ts'
import type { Figures, Flood } from './report.ts'

/** Logins under way at once, all the time. */
const crowd = 200
/** Orders a second: far from what the process can do, so that waiting comes from the logins. */
const ordersPerSecond = 100

export interface FloodOptions {
  readonly url: string
  /** An account that signs in, over and over. */
  readonly account: { readonly email: string; readonly password: string }
  readonly load: (options: LoadOptions) => Promise<Figures>
  readonly options: LoadOptions
  readonly rounds: number
}

const login = async (url: string, account: FloodOptions['account']): Promise<string> => {
  const answer = await fetch(`${url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account),
  })
  await answer.arrayBuffer()
  return String(answer.status)
}

/** Measures orders alone and then beside 200 logins at once, in turns. */
export const measureFlood = async ({ url, account, load, options, rounds }: FloodOptions): Promise<Flood> => {
  const before: number[] = []
  const during: number[] = []
  const logins: Record<string, number> = {}
  const orders = { ...options, kind: 'create', perSecond: ordersPerSecond } as const
  for (let round = 0; round < rounds; round++) {
    before.push((await load(orders)).p99)
    let flooding = true
    const people = Array.from({ length: crowd }, async () => {
      while (flooding) {
        const status = await login(url, account)
        logins[status] = (logins[status] ?? 0) + 1
      }
    })
    during.push((await load({ ...orders, warmupSeconds: 0 })).p99)
    flooding = false
    await Promise.all(people)
  }
  return { before, during, logins }
}
