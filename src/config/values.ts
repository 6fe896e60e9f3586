import type { Static } from 'typebox'
import type { Environment } from '../environment.ts'

export type Values = Static<typeof Environment>

/** The items of a comma-separated list. */
export const commaList = (value: string): string[] => value.split(',').map((each) => each.trim())

/** The value for Fastify's `trustProxy`. */
export const trust = (value: string): boolean | string[] | ((address: string, hop: number) => boolean) => {
  if (value === 'true' || value === 'false') return value === 'true'
  const hops = /^\d+$/.test(value) ? Number(value) : undefined
  return hops === undefined ? commaList(value) : (_address, hop) => hop < hops
}

/** Long-lived credentials, or where to get temporary ones. */
export const awsCredentialsOf = (values: Values) => {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = values
  const { AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: roleArn, AWS_ENDPOINT_URL_STS: endpoint } = values
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) }
  return tokenFile && roleArn ? { tokenFile, roleArn, endpoint } : undefined
}

/** `user=orderhub-user,order=shop/orderhub-order` as a table. */
export const accountsOf = (
  value: string,
): ReadonlyMap<string, { readonly namespace: string | undefined; readonly name: string }> =>
  new Map(
    value.split(',').map((part) => {
      const [service = '', account = ''] = part.split('=')
      const [name = '', namespace] = account.split('/').toReversed()
      return [service, { namespace, name }]
    }),
  )
