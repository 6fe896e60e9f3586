import { type ParsedUrlQuery, parse } from 'node:querystring'
import { malformed, reasons, repeatedParameter, tooMany } from './malformed.ts'

const mostParameters = 50

/** As `application/x-www-form-urlencoded` is read. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed(reasons.queryNotUtf8)
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
    if (seen.has(key)) throw malformed(repeatedParameter(key))
    if (seen.size === mostParameters) throw malformed(tooMany.parameters(mostParameters))
    seen.add(key)
  }
}
