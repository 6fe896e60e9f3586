import { type ParsedUrlQuery, parse } from 'node:querystring'
import fp from 'fastify-plugin'
import { assertCleanText } from '../schema.ts'
import { malformed, reasons, repeatedParameter, tooMany } from './malformed.ts'

const mostParameters = 50

/** Decoded as `application/x-www-form-urlencoded`. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed(reasons.queryNotUtf8)
  }
}

/** The router's parser, which runs before every hook: stops at too many parameters, which `assertQuery` refuses. */
export const readQuery = (text: string): ParsedUrlQuery => parse(text, '&', '=', { maxKeys: mostParameters + 1 })

/**
 * An unambiguous query: few parameters, each once, in UTF-8. The parser keeps undecodable text as it is, and makes a list of
 * repeated parameters. @throws Failure request.malformed with the reason
 */
const assertQuery = (url: string): void => {
  const start = url.indexOf('?')
  if (start === -1) return
  const seen = new Set<string>()
  for (const pair of url.slice(start + 1).split('&', mostParameters + 1)) {
    if (pair === '') continue
    const [name = ''] = pair.split('=', 1)
    const key = decoded(name)
    decoded(pair.slice(name.length + 1))
    if (seen.has(key)) throw malformed(repeatedParameter(key))
    if (seen.size === mostParameters) throw malformed(tooMany.parameters(mostParameters))
    seen.add(key)
  }
}

/** Checks the query and the path's parameters before their schemas. */
export const cleanParameters = fp(
  async (app) => {
    app.addHook('preValidation', ({ url, params, query }, _reply, done) => {
      try {
        assertQuery(url)
        assertCleanText(params)
        assertCleanText(query)
        done()
      } catch (problem) {
        done(problem as Error)
      }
    })
  },
  { name: 'clean-parameters', dependencies: ['request-context'] },
)
