import { randomBytes } from 'node:crypto'
import type { VerifyResult } from 'otplib'
import type { CallContext } from '../../../platform/context.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { forms } from '../../../platform/normal-form.ts'
import { userContract } from '../contract.ts'
import { fail } from '../errors.ts'
import type { PersonalData } from '../personal-data.ts'
import type { Account } from './account-repository.ts'
import type { NewFamily } from './family-repository.ts'
import { assertReauthenticated } from './reauthentication.ts'
import type { FactorProof, SecondFactorRepository } from './second-factor-repository.ts'
import { hashOf } from './secrets.ts'

const issuer = 'OrderHub'
const recoveryCodes = 10
/** Clocks may differ by one time step of 30 seconds (RFC 6238, 5.2). */
const toleranceSeconds = 30
const totp = /^\d{6}$/

export interface Enrolment {
  readonly secret: string
  readonly otpauth_uri: string
  /** A PNG as a data URL. */
  readonly qr: string
}

export interface SecondFactorOptions {
  readonly repository: SecondFactorRepository
  readonly data: Pick<PersonalData, 'open' | 'sealSecret' | 'openSecret'>
}

export type SecondFactor = ReturnType<typeof createSecondFactor>

/** 80 random bits in groups, as in 1f0a2-9c3d4-5e6f7-08192. */
const newRecoveryCode = (): string => (randomBytes(10).toString('hex').match(/.{5}/g) as string[]).join('-')
const hashOfRecoveryCode = (code: string): Buffer => hashOf(forms.code.normal(code))

export const createSecondFactor = ({ repository, data }: SecondFactorOptions) => {
  /** @throws auth.invalid_otp */
  const stepOf = async (account: Account, code: string): Promise<number> => {
    if (account.factor_secret === null) throw fail('auth.mfa_not_enrolled')
    const secret = data.openSecret(account, account.factor_secret).toString()
    if (!totp.test(code)) throw fail('auth.invalid_otp')
    const { verifySync } = await import('otplib')
    const found = verifySync({ secret, token: code, epochTolerance: toleranceSeconds }) as VerifyResult
    if (!found.valid) throw fail('auth.invalid_otp')
    return found.timeStep
  }

  /** The proof of a code, if it was not used before. @throws auth.invalid_otp */
  const proofOf = async (account: Account, code: string): Promise<FactorProof> =>
    totp.test(code) ? { step: await stepOf(account, code) } : { codeHash: hashOfRecoveryCode(code) }

  return {
    proofOf,

    /** @throws auth.mfa_already_enrolled */
    enrol: async (account: Account): Promise<Enrolment> => {
      const [{ generateSecret, generateURI }, { default: QRCode }] = await Promise.all([import('otplib'), import('qrcode')])
      const secret = generateSecret()
      const { outcome } = await repository.enrol(account.id, data.sealSecret(account, Buffer.from(secret)))
      if (outcome === 'already_enrolled') throw fail('auth.mfa_already_enrolled')
      const uri = generateURI({ issuer, label: data.open(account).email, secret })
      return { secret, otpauth_uri: uri, qr: await QRCode.toDataURL(uri) }
    },

    /**
     * Returns the recovery codes (only once), and the session version of the new session. @throws auth.mfa_already_enrolled,
     * auth.mfa_not_enrolled, auth.invalid_otp
     */
    confirm: async (
      account: Account,
      code: string,
      family: NewFamily,
      context: CallContext,
    ): Promise<{ recoveryCodes: string[]; sessionVersion: number }> => {
      if (account.factor_confirmed) throw fail('auth.mfa_already_enrolled')
      const step = await stepOf(account, code)
      const codes = Array.from({ length: recoveryCodes }, newRecoveryCode)
      const secret = account.factor_secret as Buffer
      const event = newEvent(userContract, 'user.second_factor_enrolled', context)
      const factor = { secret, step, codeHashes: codes.map(hashOfRecoveryCode) }
      const confirmed = await repository.confirm(account.id, factor, family, event)
      if (confirmed.outcome === 'overtaken') throw fail('auth.invalid_otp')
      return { recoveryCodes: codes, sessionVersion: confirmed.sessionVersion }
    },

    /** @throws auth.mfa_not_enrolled, auth.invalid_otp */
    remove: async (account: Account, code: string, context: CallContext): Promise<void> => {
      if (!account.factor_confirmed) throw fail('auth.mfa_not_enrolled')
      const event = newEvent(userContract, 'user.second_factor_removed', context)
      const { outcome } = await repository.remove(account.id, await proofOf(account, code), event)
      if (outcome === 'proof_used') throw fail('auth.invalid_otp')
    },

    /**
     * For a person who has lost their factor, or has a stranger's. @throws auth.reauthentication_required, auth.mfa_not_enrolled
     */
    reset: async (userId: number, reason: string, context: CallContext): Promise<void> => {
      assertReauthenticated(context)
      const event = newEvent(userContract, 'user.second_factor_reset', context, { reason })
      const { outcome } = await repository.reset(userId, event)
      if (outcome === 'not_enrolled') throw fail('auth.mfa_not_enrolled')
    },
  }
}
