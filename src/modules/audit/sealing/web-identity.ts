import { readFile } from 'node:fs/promises'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface WebIdentity {
  /** The kubelet writes a new token before the old one expires, so it is read for each exchange. */
  readonly tokenFile: string
  readonly roleArn: string
  /** URL of the token service; default: AWS STS in the bucket's region. */
  readonly endpoint?: string | undefined
}

const timeoutMs = 10_000
/** Credentials are renewed this long before they expire, to leave time for requests in flight. */
const earlyMs = 5 * 60_000

const textOf = (xml: string, tag: string): string | undefined => new RegExp(`<${tag}>([^<]+)</${tag}>`).exec(xml)?.[1]

const exchange = async ({ tokenFile, roleArn, endpoint }: WebIdentity, region: string) => {
  const url = endpoint ?? `https://sts.${region}.amazonaws.com`
  const token = (await readFile(tokenFile, 'utf8')).trim()
  // AssumeRoleWithWebIdentity is not signed: the token is the proof (AWS STS API Reference, 2011-06-15).
  const answer = await fetch(url, {
    method: 'POST',
    body: new URLSearchParams({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: 'orderhub-audit',
      WebIdentityToken: token,
    }),
    signal: AbortSignal.timeout(timeoutMs),
  })
  const xml = await answer.text()
  if (!answer.ok) throw new Error(`${url} gave no credentials: ${answer.status} ${textOf(xml, 'Code') ?? ''}`.trim())
  const [accessKeyId, secretAccessKey, sessionToken] = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'].map((tag) =>
    textOf(xml, tag),
  )
  const until = Date.parse(textOf(xml, 'Expiration') ?? '')
  if (!accessKeyId || !secretAccessKey || !sessionToken || Number.isNaN(until))
    throw new Error(`${url} gave no credentials: unreadable response`)
  return { credentials: { accessKeyId, secretAccessKey, sessionToken }, until }
}

/** Current credentials from AWS STS, exchanged again shortly before they expire. Rejects if there are none. */
export const webIdentityCredentials = (identity: WebIdentity, region: string): (() => Promise<Credentials>) => {
  let current: ReturnType<typeof exchange> | undefined
  let usableUntil = 0
  return async () => {
    if (!current || Date.now() >= usableUntil) {
      usableUntil = Number.POSITIVE_INFINITY
      current = exchange(identity, region)
      current.then(
        ({ until }) => {
          usableUntil = until - earlyMs
        },
        () => {
          current = undefined
        },
      )
    }
    return (await current).credentials
  }
}
