import type { FastifyRequest } from 'fastify'
import { bearerOf } from '../../../platform/auth/authenticate.ts'
import { isServiceToken, type ServiceTokens } from '../../../platform/auth/service-tokens.ts'

/**
 * The client's address. A service alone speaks for a client of the gateway: from whoever shows a service's token, the first
 * address in X-Forwarded-For is taken, which the gateway wrote by its own TRUST_PROXY; from anybody else, TRUST_PROXY decides.
 */
export const clientAddress = async (request: FastifyRequest, tokens: ServiceTokens | undefined): Promise<string> => {
  const { headers, ip } = request
  const token = bearerOf(request)
  const forwarded = headers['x-forwarded-for']?.toString().split(',')[0]?.trim()
  if (!tokens || !token || !forwarded || !isServiceToken(token)) return ip
  return tokens.verify(token, ['user']).then(
    () => forwarded,
    () => ip,
  )
}
