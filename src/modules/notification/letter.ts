import { escapeHtml } from '../../platform/http/html.ts'
import type { Locale } from '../../platform/locales.ts'

export interface Letter {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** The same in each of a mail's two parts. */
export interface Block {
  readonly text: string
  readonly html: string
}

/** User text as part of a line: a line break in a name must not look like a line of ours. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}\u2028\u2029]+/gu, ' ').trim()

export const paragraph = (text: string): Block => ({ text, html: `<p>${escapeHtml(text)}</p>` })

/** A link or a code on its own line, so that a mail program does not include other words in the link. */
export const withLine = (text: string, line: string, html: string): Block => ({
  text: `${text}\n${line}`,
  html: `<p>${escapeHtml(text)}<br>${html}</p>`,
})

const greetings: Readonly<Record<Locale, (name: string | null) => string>> = {
  en: (name) => (name === null ? 'Hello,' : `Hello ${oneLine(name)},`),
  'zh-TW': (name) => (name === null ? '您好：' : `${oneLine(name)} 您好：`),
}

/** The recipient; without a name if the mailbox is not confirmed, because a stranger could put text there. */
export interface Addressee {
  readonly name: string | null
  readonly locale: Locale
}

/** A mail to a person, from the greeting to the name of the shop. */
export const writeLetter = ({ name, locale }: Addressee, subject: string, blocks: readonly Block[]): Letter => {
  const all = [paragraph(greetings[locale](name)), ...blocks, paragraph('OrderHub')]
  const html = [
    `<!doctype html><html lang="${locale}"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>`,
    '<body style="font-family:sans-serif;overflow-wrap:anywhere">',
    ...all.map((block) => block.html),
    '</body></html>',
  ]
  return { subject, text: `${all.map((block) => block.text).join('\n\n')}\n`, html: html.join('\n') }
}
