/** A minimal MIME parser (RFC 2045): enough for messages that nodemailer writes. */
export interface Mail {
  readonly messageId: string
  readonly to: string
  readonly from: string
  readonly subject: string
  /** All values of each header, by its name in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The decoded text of each part, by its content type without parameters. */
  readonly parts: Readonly<Record<string, string>>
}

const split = (source: string): [string, string] => {
  const at = source.indexOf('\r\n\r\n')
  return at < 0 ? [source, ''] : [source.slice(0, at), source.slice(at + 4)]
}

const headerLines = (head: string): [string, string][] =>
  head
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
const headersOf = (head: string): Map<string, string> => new Map(headerLines(head))

const fromQuotedPrintable = (text: string): string =>
  Buffer.from(
    text.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()

/** Decodes a header (RFC 2047). */
const decodeWords = (text: string): string =>
  text
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([bq])\?(.*?)\?=/gi, (_, kind: string, coded: string) =>
      kind.toLowerCase() === 'b' ? Buffer.from(coded, 'base64').toString() : fromQuotedPrintable(coded.replaceAll('_', ' ')),
    )

const decodeBody = (encoding: string | undefined, body: string): string => {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString()
  return encoding === 'quoted-printable' ? fromQuotedPrintable(body) : Buffer.from(body, 'latin1').toString()
}

const partsOf = (source: string): [string, string][] => {
  const [head, body] = split(source)
  const headers = headersOf(head)
  const type = headers.get('content-type') ?? 'text/plain'
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1]
  if (boundary === undefined) {
    return [
      [type.split(';', 1)[0] as string, decodeBody(headers.get('content-transfer-encoding'), body).replaceAll('\r\n', '\n')],
    ]
  }
  return body
    .split(`--${boundary}`)
    .slice(1, -1)
    .flatMap((part) => partsOf(part.replace(/^\r\n/, '').replace(/\r\n$/, '')))
}

/** Parses a message; `source` has one character for each byte (latin1). */
export const readMail = (source: string): Mail => {
  const headers = headersOf(split(source)[0])
  const header = (name: string) => decodeWords(headers.get(name) ?? '')
  return {
    messageId: header('message-id'),
    to: header('to'),
    from: header('from'),
    subject: header('subject'),
    headers: headerLines(split(source)[0]).map(([name, value]) => [name, decodeWords(value)] as const),
    parts: Object.fromEntries(partsOf(source)),
  }
}
