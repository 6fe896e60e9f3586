import { execFileSync } from 'node:child_process'
import { readMail } from '../../testing/mime.ts'
import type { TestProviders } from '../../testing/providers.ts'

const program = `
  const [url, body] = process.argv.slice(1)
  const answer = await fetch(url, body === undefined ? {} : { method: 'PUT', body })
  process.stdout.write(await answer.text())`
/** A synchronous HTTP request, because the suites read a provider's messages synchronously. */
const fetchSync = (...args: readonly string[]): string =>
  execFileSync(process.execPath, ['--input-type=module', '-e', program, ...args], { encoding: 'utf8' })

export interface SinkContent {
  readonly messages: readonly { readonly key: string; readonly body: string }[]
  /** Number of trace exports. */
  readonly traces: number
}
export const readSink = (url: string): SinkContent => JSON.parse(fetchSync(url))

interface CaughtMail {
  readonly id: string
  readonly messageId: string
}

/** The providers for the contract suites: the mail catcher of docker-compose.yml, and the sink for SMS. */
export const composeProviders = (mailUrl: string, sinkUrl: string): TestProviders => {
  const email = {
    copies: (key: string) =>
      (JSON.parse(fetchSync(`${mailUrl}/email`)) as CaughtMail[])
        .filter(({ messageId }) => messageId?.startsWith(`${key}@`))
        .map(({ id }) => readMail(fetchSync(`${mailUrl}/email/${id}/source`))),
  }
  const sms = {
    copies: (key: string) =>
      readSink(sinkUrl)
        .messages.filter((message) => message.key === key)
        .map(({ body }) => JSON.parse(body)),
    behave: (behaviour: string) => void fetchSync(`${sinkUrl}/status`, behaviour === 'accept' ? '202' : '429'),
  }
  return { email, sms } as unknown as TestProviders
}
