import assert from 'node:assert/strict'
import { inNamespace } from './kubernetes.ts'
import { type Mode, namespaceOf } from './release.ts'
import { startScript } from './script-pod.ts'
import { admin, rates, storesNamespace } from './settings.ts'
import { storesNode } from './stores.ts'

export interface LoadReport {
  readonly sent: number
  readonly tries: number
  readonly seconds: number
  readonly orders: number
  readonly p50: number
  readonly p99: number
  readonly longestMs: number
  readonly failures: readonly { readonly at: number; readonly request: string; readonly problem: string }[]
  /** Ids of accepted orders that are missing. */
  readonly lost: Readonly<Record<'orders' | 'notifications' | 'mails', readonly number[]>> & { readonly secondMails: number }
  readonly deliveredAfterMs: number
}

export interface LoadOptions {
  /** Clients retry with the same idempotency key until they get a response. */
  readonly retries?: boolean
  readonly mode?: Mode
  /** In percent. */
  readonly orderShare?: number
  readonly url?: string
}

const entryUrl = (mode: Mode) => `http://orderhub-gateway.${namespaceOf(mode)}:8080`

/** Sends requests at a constant rate from inside the cluster, until `finish`. */
export const startLoad = async ({
  retries = false,
  mode = 'split',
  orderShare = 10,
  url = entryUrl(mode),
}: LoadOptions = {}): Promise<{ finish(): Promise<LoadReport> }> => {
  const pod = await startScript({
    namespace: inNamespace(storesNamespace),
    name: 'load',
    script: 'load.ts',
    node: await storesNode(),
    env: {
      BASE_URL: url,
      MAIL_URL: `http://mail.${storesNamespace}:1080`,
      RATE: String(rates[mode]),
      ORDER_SHARE: String(orderShare),
      RETRIES: String(retries),
      ADMIN_EMAIL: admin.email,
      ADMIN_PASSWORD: admin.password,
    },
  })
  await pod.printed('load begins')
  return {
    finish: async () => {
      await pod.signal('USR2')
      return JSON.parse(await pod.result(400_000))
    },
  }
}

export const summary = ({ sent, seconds, orders, p50, p99, longestMs, failures }: LoadReport): string =>
  `${sent} requests, ${Math.round(sent / seconds)} per second, ${orders} orders accepted; p50 ${p50} ms, p99 ${p99} ms, longest ${longestMs} ms; ${failures.length} failed`

export const assertNothingFailed = ({ failures }: LoadReport): void =>
  assert.equal(
    failures.length,
    0,
    `requests failed:\n${failures
      .slice(0, 20)
      .map((one) => JSON.stringify(one))
      .join('\n')}`,
  )

export const assertNothingLost = ({ lost }: LoadReport): void => {
  for (const what of ['orders', 'notifications', 'mails'] as const) {
    assert.deepEqual(lost[what], [], `accepted orders without their ${what}`)
  }
}
