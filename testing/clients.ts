import type { Test } from 'tap'
import { Pool } from 'undici'

export interface Reply {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any response
  readonly body: any
}

/** Many clients of one URL, on a few hundred open connections until the test ends. Rejects if there is no response. */
export const manyClients = (t: Test, url: string, connections = 250) => {
  const pool = new Pool(url, { connections, headersTimeout: 30_000, bodyTimeout: 30_000 })
  t.teardown(() => pool.close())
  return async (path: string, method: 'GET' | 'POST' | 'PUT' | 'PATCH' = 'GET', body?: unknown, key?: string): Promise<Reply> => {
    const { statusCode, body: answer } = await pool.request({
      path: `/api/v1${path}`,
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    return { status: statusCode, body: await answer.json() }
  }
}
