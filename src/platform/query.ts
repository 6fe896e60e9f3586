import { type ParsedUrlQuery, parse } from 'node:querystring'
import { fail } from './errors.ts'

const mostParameters = 50

const malformed = (reason: string) => fail('request.malformed', { reason })

/** As `application/x-www-form-urlencoded` is read. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed('the query is not UTF-8 in percent-encoding')
  }
}

/** The router's reader, which runs before every hook: of too many parameters, which `assertQuery` refuses, it reads no more. */
export const readQuery = (text: string): ParsedUrlQuery => parse(text, '&', '=', { maxKeys: mostParameters + 1 })

/**
 * A query that says one thing: few parameters, each once, in UTF-8. The parser behind this keeps what it cannot decode as it
 * is, and makes a list of what comes twice. @throws Failure request.malformed with the reason
 */
export const assertQuery = (url: string): void => {
  const start = url.indexOf('?')
  if (start === -1) return
  const seen = new Set<string>()
  for (const pair of url.slice(start + 1).split('&', mostParameters + 1)) {
    if (pair === '') continue
    const [name = ''] = pair.split('=', 1)
    const key = decoded(name)
    decoded(pair.slice(name.length + 1))
    if (seen.has(key))
      throw malformed(/^\w{1,64}$/.test(key) ? `${key} is there twice in the query` : 'a parameter is there twice')
    if (seen.size === mostParameters) throw malformed(`the query has more than ${mostParameters} parameters`)
    seen.add(key)
  }
}
