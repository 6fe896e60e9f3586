import { fail } from '../errors.ts'
import { malformed, reasons, repeatedKey, tooMany } from './malformed.ts'

/**
 * What a body may be beyond being JSON: far more than any of ours is, and little enough that a recursive function or a
 * validator can be given it. Bytes are limited by the route. The largest order has 505 values: a contract test compares.
 */
export const jsonLimits = { depth: 32, values: 2000, members: 100 } as const

const [quote, comma, openArray, closeArray, openObject, closeObject] = [...'",[]{}'].map((sign) => sign.charCodeAt(0))
const backslash = 0x5c

/** JSON can say either only by an escape, so most bodies have no string to look into. */
const mayHideText = (json: string): boolean => /\\u(0000|d[89a-f])/i.test(json)

/** Index of the closing quote of the string that begins at `start`; the text's length where there is none. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return text.length
}

const unescaped = (literal: string): string => {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  try {
    return JSON.parse(literal)
  } catch (error) {
    throw malformed(reasons.notJson, error)
  }
}

/**
 * Goes over a body once, without recursion and in time that its length bounds, before anything is made of it: how deep and
 * how large it is, whether an object names a key twice (RFC 8259, 4: what that means is anybody's guess), and whether a text
 * holds what PostgreSQL or UTF-8 cannot say. Whether it is JSON is for JSON.parse to find: of a body that is not, this may
 * refuse another fault first. @throws Failure request.malformed with the reason, request.invalid_text
 */
export const scanJson = (text: string, mostValues: number = jsonLimits.values): void => {
  const looksInside = mayHideText(text)
  /** For each open object its keys, for each open array undefined. */
  const open: (Set<string> | undefined)[] = []
  let keys: Set<string> | undefined
  let keyIsNext = false
  let values = 1
  /** A member has two at most, so that of JSON `values` is passed first. */
  let strings = 0
  const tooManyValues = () => malformed(tooMany.values(mostValues))
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at)
    if (sign === quote) {
      if (++strings > 2 * mostValues) throw tooManyValues()
      const end = endOfString(text, at)
      if (keyIsNext || looksInside) {
        const string = unescaped(text.slice(at, end + 1))
        if (looksInside && (string.includes('\0') || !string.isWellFormed())) throw fail('request.invalid_text')
        if (keyIsNext && keys) {
          // JSON.parse makes a member of it, and what copies the object a prototype.
          if (string === '__proto__') throw malformed(reasons.prototype)
          if (keys.has(string)) throw malformed(repeatedKey(string))
          if (keys.size === jsonLimits.members) throw malformed(tooMany.members(jsonLimits.members))
          keys.add(string)
          keyIsNext = false
        }
      }
      at = end
    } else if (sign === comma) {
      keyIsNext = keys !== undefined
      if (++values > mostValues) throw tooManyValues()
    } else if (sign === openObject || sign === openArray) {
      if (open.length === jsonLimits.depth) throw malformed(tooMany.levels(jsonLimits.depth))
      if (++values > mostValues) throw tooManyValues()
      keys = sign === openObject ? new Set() : undefined
      keyIsNext = keys !== undefined
      open.push(keys)
    } else if (sign === closeObject || sign === closeArray) {
      open.pop()
      keys = open.at(-1)
      keyIsNext = false
    }
  }
}
