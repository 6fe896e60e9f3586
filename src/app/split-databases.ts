import postgres from 'postgres'
import type { ServiceName } from '../environment.ts'

/** The database of one service for `npm run start:split`, in the cluster of `url`. Undefined if it does not exist, unless `make`. */
export const splitDatabase = async (url: string, service: ServiceName, { make = false } = {}): Promise<string | undefined> => {
  const name = `orderhub_${service}`
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const known = await client`select from pg_database where datname = ${name}`
    if (known.length === 0 && !make) return undefined
    if (known.length === 0) await client`create database ${client(name)}`
  } finally {
    await client.end()
  }
  const own = new URL(url)
  own.pathname = `/${name}`
  return own.href
}
