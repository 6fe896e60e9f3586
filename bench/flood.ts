/**
 * Measures how much slower orders are during many concurrent logins: a password hash uses one CPU and 19 MiB for about 25 ms.
 */
import type { LoadOptions } from './load.ts'
import type { Figures, Flood } from './report.ts'

/** Concurrent logins; the next ones start when all have responses. */
const crowd = 200
/** Clients that place orders sequentially: few, so that any wait is caused by the logins. */
const buyers = 2

export interface FloodOptions {
  readonly url: string
  /** Accounts that sign in, round robin. */
  readonly accounts: readonly { readonly email: string; readonly password: string }[]
  readonly load: (options: LoadOptions) => Promise<Figures>
  readonly options: LoadOptions
  readonly rounds: number
}

const login = async (url: string, account: FloodOptions['accounts'][number] | undefined): Promise<string> => {
  const answer = await fetch(`${url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account),
  })
  await answer.arrayBuffer()
  return String(answer.status)
}

/** Measures orders alone and with 200 concurrent logins, alternating. */
export const measureFlood = async ({ url, accounts, load, options, rounds }: FloodOptions): Promise<Flood> => {
  const before: number[] = []
  const during: number[] = []
  const logins: Record<string, number> = {}
  const orders = { ...options, kind: 'create', connections: buyers } as const
  const flood = async (under: () => boolean) => {
    while (under()) {
      const people = Array.from({ length: crowd }, (_, n) => login(url, accounts[n % accounts.length]))
      for (const status of await Promise.all(people)) logins[status] = (logins[status] ?? 0) + 1
    }
  }
  for (let round = 0; round < rounds; round++) {
    before.push((await load(orders)).p99)
    let flooding = true
    const ended = flood(() => flooding)
    during.push((await load({ ...orders, warmupSeconds: 0 })).p99)
    flooding = false
    await ended
  }
  return { before, during, logins }
}
