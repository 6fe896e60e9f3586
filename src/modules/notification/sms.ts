import anyAscii from 'any-ascii'

/** GSM 03.38's default alphabet (3GPP TS 23.038, 6.2.1), and the characters that need an escape and count twice (6.2.1.1). */
const basic =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà'
const septets = new Map<string, number>([
  ...[...basic].map((character) => [character, 1] as const),
  ...[...'\f^{}\\[~]|€'].map((character) => [character, 2] as const),
])

export interface SmsSize {
  readonly encoding: 'GSM-7' | 'UCS-2'
  /** Encoding and number of billed segments. */
  readonly segments: number
}

/** Units in a single segment, and in each of several, where a header needs space (3GPP TS 23.040, 9.2.3.24.1). */
const room = { 'GSM-7': [160, 153], 'UCS-2': [70, 67] } as const

const sizeOf = (encoding: SmsSize['encoding'], units: readonly number[]): SmsSize => {
  const [alone, each] = room[encoding]
  if (units.reduce((sum, unit) => sum + unit, 0) <= alone) return { encoding, segments: 1 }
  let segments = 1
  let used = 0
  for (const unit of units) {
    // An escape sequence or a surrogate pair is never split.
    if (used + unit > each) {
      segments += 1
      used = 0
    }
    used += unit
  }
  return { encoding, segments }
}

/** How a provider encodes a text: one character outside the default alphabet makes all of it UCS-2. */
export const smsSize = (text: string): SmsSize => {
  const characters = [...text]
  const sevenBit = characters.map((character) => septets.get(character))
  return sevenBit.every((units) => units !== undefined)
    ? sizeOf('GSM-7', sevenBit)
    : sizeOf(
        'UCS-2',
        characters.map(({ length }) => length),
      )
}

/** The text in the default alphabet: other characters are transliterated, or left out if that is not possible. */
export const toGsm7 = (text: string): string =>
  [...text.normalize('NFC')]
    .map((character) =>
      septets.has(character) ? character : [...anyAscii(character)].filter((each) => septets.has(each)).join(''),
    )
    .join('')

/** The first of the texts that fits in one segment; otherwise the last. */
export const inOneSegment = (...texts: readonly [string, ...string[]]): string =>
  texts.find((text) => smsSize(text).segments === 1) ?? (texts.at(-1) as string)
