import { fail } from './errors.ts'

interface Typed {
  readonly phone?: string | null
  /** ISO 3166-1 alpha-2: the country of a national number in `phone`. */
  readonly phone_country?: string
}

/** The world's numbering plans (some hundred kilobytes), loaded when somebody first enters a number. */
const load = () => import('libphonenumber-js/min')

/**
 * E.164 of a number in any common notation. Only its length is checked, not whether it is assigned: plans change faster than a
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
