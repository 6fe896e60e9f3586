import { fold, forms, seenLength } from '../../../platform/normal-form.ts'
import { fail } from '../errors.ts'
import type { Personal } from '../personal-data.ts'

/**
 * Code points of the normal form (NIST SP 800-63B-4, 3.1.1.2; ASVS 5.0, 6.2.1 and 6.2.9). No rule prescribes character classes.
 */
export const passwordLength = { minLength: 8, maxLength: 128 } as const

const product = 'orderhub'
/** A few characters repeated are as easy to guess as the list. */
const repeated = /^(.{1,4}?)\1+$/su

/** About 18,000 of the most common passwords that are long enough (ASVS 5.0, 6.2.4), loaded when somebody first sets one. */
let common: Promise<ReadonlySet<string>> | undefined
const load = async (): Promise<ReadonlySet<string>> => {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const list = dictionary['passwords-common'] as readonly string[]
  return new Set(list.filter((password) => password.length >= passwordLength.minLength).map(fold))
}

/** An attacker tries these first. */
const ofPerson = ({ name, email }: Pick<Personal, 'name' | 'email'>): string[] =>
  [name, email, email.slice(0, email.lastIndexOf('@')), product].map(fold)

/**
 * Checks a new password, wherever one is set.
 * @throws user.password_too_short, user.password_personal, user.password_too_common with the body's `field`
 */
export const assertPassword = async (typed: string, person: Pick<Personal, 'name' | 'email'>, field: string): Promise<void> => {
  const password = forms.password.normal(typed)
  const at = { field: `/body/${field}` }
  if (seenLength(password) < passwordLength.minLength) throw fail('user.password_too_short', at)
  const folded = fold(password)
  if (ofPerson(person).includes(folded)) throw fail('user.password_personal', at)
  common ??= load()
  if (repeated.test(folded) || (await common).has(folded)) throw fail('user.password_too_common', at)
}
