import { fail } from './errors.ts'

interface Typed {
  readonly phone?: string | null
  /** ISO 3166-1 alpha-2: whose national form `phone` may have. */
  readonly phone_country?: string
}

/** Some hundred kilobytes of the world's numbering plans, for processes in which somebody enters a number. */
const load = () => import('libphonenumber-js/min')

/**
 * E.164 of a number as people write it. Only its length is judged, not whether it is given out: plans change faster than a
 * library. @throws user.phone_country_required, user.phone_country_unknown, user.phone_invalid
 */
const toE164 = async (typed: string, country: string | undefined): Promise<string> => {
  const { parsePhoneNumberFromString, isSupportedCountry } = await load()
  const phone = typed.normalize('NFKC').trim()
  if (country !== undefined && !isSupportedCountry(country))
    throw fail('user.phone_country_unknown', { field: '/body/phone_country' })
  const international = phone.startsWith('+')
  if (!international && country === undefined && /\d/.test(phone))
    throw fail('user.phone_country_required', { field: '/body/phone_country' })
  const number = parsePhoneNumberFromString(phone, {
    extract: false,
    ...(country === undefined ? {} : { defaultCountry: country }),
  })
  if (!number?.isPossible() || number.ext !== undefined) throw fail('user.phone_invalid', { field: '/body/phone' })
  return number.number
}

/** The body with its phone number in E.164, and without the country. @throws as `toE164` */
export const withPhone = async <B extends Typed>({ phone_country, ...body }: B): Promise<Omit<B, 'phone_country'>> =>
  typeof body.phone === 'string' ? { ...body, phone: await toE164(body.phone, phone_country) } : body
