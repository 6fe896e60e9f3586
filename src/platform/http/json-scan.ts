import { fail } from '../errors.ts'
import { malformed, reasons, repeatedKey, tooMany } from './malformed.ts'

/**
 * Limits of a body beyond valid JSON: far above any real body, and low enough for a recursive function or a validator. The route
 * limits the bytes. The largest order has 505 values: a contract test compares.
 */
export const jsonLimits = { depth: 32, values: 2000, members: 100 } as const

const [quote, comma, openArray, closeArray, openObject, closeObject] = [...'",[]{}'].map((sign) => sign.charCodeAt(0))
const backslash = 0x5c

/** JSON can contain either only as an escape, so most bodies have no string to check. */
const mayHideText = (json: string): boolean => /\\u(0000|d[89a-f])/i.test(json)

/** Index of the closing quote of the string that begins at `start`; the text's length if there is none. */
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
 * Scans a body once, without recursion and in linear time, before it is parsed: how deep and how large it is, whether an object
 * repeats a key (RFC 8259, 4: parsers differ), and whether a text contains what PostgreSQL or UTF-8 cannot encode. JSON.parse
 * decides whether it is JSON: for invalid JSON, this may report another error first. @throws Failure request.malformed with the
 * reason, request.invalid_text
 */
export const scanJson = (text: string, mostValues: number = jsonLimits.values): void => {
  const looksInside = mayHideText(text)
  /** The keys of each open object; undefined for each open array. */
  const open: (Set<string> | undefined)[] = []
  let keys: Set<string> | undefined
  let keyIsNext = false
  let values = 1
  /** A member has at most two, so valid JSON exceeds `values` first. */
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
          // JSON.parse creates a member of it, and copying the object makes it a prototype.
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
