import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { domainToASCII } from 'node:url'
import nodemailer from 'nodemailer'
import type { Logger } from 'pino'
import { Agent, request } from 'undici'
import { isNotSent } from '../../platform/connection-error.ts'
import type { Channel } from './contract.ts'

export interface Email {
  /** The idempotency key: becomes the Message-ID. */
  readonly key: string
  readonly user_id: number
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
}

export interface Sms {
  /** The idempotency key: goes out as Idempotency-Key. */
  readonly key: string
  readonly user_id: number
  readonly to: string
  readonly text: string
}

/** Resolves when the provider has accepted; rejects with a ProviderError. */
export interface Providers {
  email(message: Email): Promise<void>
  /** The same with its own connections: mails that let people into their account do not wait for others. */
  accountEmail(message: Email): Promise<void>
  sms(message: Sms): Promise<void>
  /** Whether messages are stored here: the sender must then `forget` those to a person who is erased meanwhile. */
  readonly keepsCopies: Readonly<Record<Channel, boolean>>
  /** Removes stored messages to a person. Those of the first release are found by their keys. */
  forget(userId: number, keys?: readonly string[]): Promise<void>
  close(): Promise<void>
}

interface ProviderFault {
  readonly uncertain: boolean
  readonly away: boolean
  readonly permanent?: boolean
  readonly cause?: unknown
}

export class ProviderError extends Error {
  /** The provider may have accepted: the response was lost. */
  readonly uncertain: boolean
  /** The failure is about the provider, not the message: it is down, or accepts nothing for now. */
  readonly away: boolean
  /** The message will not be accepted later either. */
  readonly permanent: boolean
  constructor(message: string, { uncertain, away, permanent = false, cause }: ProviderFault) {
    super(message, { cause })
    this.name = 'ProviderError'
    this.uncertain = uncertain
    this.away = away
    this.permanent = permanent
  }
}

export interface ProviderOptions {
  readonly smtpUrl: string | undefined
  readonly mailFrom: string
  /** Names the shop in Message-IDs if `mailFrom` has no domain. */
  readonly publicUrl: string | undefined
  readonly smsUrl: string | undefined
  readonly smsFrom: string
  readonly dataDir: string
  readonly log: Logger
}

/** For one step of an SMTP session, and for the whole session. */
const timeoutMs = 8000
export const attemptMs = 15_000

/** The part after the @ of a Message-ID: the sender's own domain makes it globally unique (RFC 5322, 3.6.4). */
export const messageIdDomain = (from: string, publicUrl: string | undefined): string => {
  const [, ofSender = ''] = /@([^@\s<>]+)>?\s*$/.exec(from) ?? []
  // In ASCII, as headers require; empty for an invalid domain.
  return domainToASCII(ofSender) || (publicUrl === undefined ? '' : new URL(publicUrl).hostname) || 'orderhub.invalid'
}

/** Writes a message as a mail. */
const composer = ({ mailFrom: from, publicUrl }: Pick<ProviderOptions, 'mailFrom' | 'publicUrl'>) => {
  const domain = messageIdDomain(from, publicUrl)
  return ({ key, user_id: _, ...message }: Email) => ({
    ...message,
    from,
    messageId: `<${key}@${domain}>`,
    date: new Date(),
    headers: {
      // Prevents automatic replies (RFC 3834, 5); Exchange reads its own header, and still reports failures.
      'Auto-Submitted': 'auto-generated',
      'X-Auto-Response-Suppress': 'OOF, AutoReply',
    },
  })
}
type Compose = ReturnType<typeof composer>

const smtpEmail = (url: string, compose: Compose, maxConnections: number): Pick<Providers, 'email' | 'close'> => {
  const transport = nodemailer.createTransport({
    url,
    pool: true,
    maxConnections,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  } as never)
  // The error of a lost connection does not say how much of the message was sent; whether its bytes were read does.
  transport.use('stream', ({ data, message }, done) => {
    message.processFunc((bytes) => {
      ;(data as { readonly bytes?: Readable[] }).bytes?.push(bytes as Readable)
      return bytes
    })
    done()
  })
  return {
    email: async (message) => {
      const bytes: Readable[] = []
      try {
        await transport.sendMail({ ...compose(message), bytes, signal: AbortSignal.timeout(attemptMs) } as never)
      } catch (error) {
        const { responseCode, response, code } = error as { responseCode?: number; response?: string; code?: string }
        // Between the first byte and the final response the outcome is unknown; before that, the message was surely not accepted.
        const uncertain = responseCode === undefined && bytes.some(({ readableDidRead }) => readableDidRead)
        if (responseCode === undefined)
          throw new ProviderError(`SMTP: ${code ?? 'no response'}`, { uncertain, away: true, cause: error })
        // The rest of a server's response can quote the person: only its codes (RFC 3463) are kept.
        const [, detail] = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(response ?? '') ?? []
        throw new ProviderError(`SMTP: ${[responseCode, detail].filter(Boolean).join(' ')}`, {
          uncertain,
          // The server as a whole is unavailable (RFC 5321, 3.8), or rejects our login.
          away: responseCode === 421 || code === 'EAUTH',
          // No such mailbox (RFC 3463, 3.2). Other refusals may be our fault, and end when we fix it.
          permanent: detail?.startsWith('5.1.') ?? false,
        })
      }
    },
    close: async () => transport.close(),
  }
}

const httpSms = (url: string, from: string): Pick<Providers, 'sms' | 'close'> => {
  const dispatcher = new Agent({ connect: { timeout: 3000 }, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
  return {
    sms: async ({ key, to, text }) => {
      let status: number
      try {
        const answer = await request(url, {
          dispatcher,
          signal: AbortSignal.timeout(attemptMs),
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': key },
          body: JSON.stringify({ to, from, text }),
        })
        await answer.body.dump()
        status = answer.statusCode
      } catch (error) {
        const { code } = error as { code?: string }
        throw new ProviderError(`SMS: ${code ?? 'no response'}`, { uncertain: !isNotSent(error), away: true, cause: error })
      }
      if (status >= 200 && status < 300) return
      const away = status >= 500 || status === 429
      throw new ProviderError(`SMS: ${status}`, {
        uncertain: status >= 500,
        away,
        permanent: [400, 404, 410, 422].includes(status),
      })
    },
    close: () => dispatcher.close(),
  }
}

/** Replaces a provider on a laptop: a folder per person, named by their id, with a file per message, named by its key. */
const mailFolder = (folder: string, compose: Compose, smsFrom: string): Omit<Providers, 'keepsCopies' | 'accountEmail'> => {
  const transport = nodemailer.createTransport({ streamTransport: true, buffer: true })
  const write = async (userId: number, name: string, content: Buffer | string): Promise<void> => {
    const own = join(folder, String(userId))
    // The folder around it stays open: PostgreSQL's account must be able to enter it.
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(own, { recursive: true, mode: 0o700 })
    await writeFile(join(own, name), content)
  }
  return {
    email: async (message) => {
      const { message: source } = await transport.sendMail(compose(message))
      await write(message.user_id, `${message.key}.eml`, source as Buffer)
    },
    sms: ({ key, user_id, to, text }) => write(user_id, `${key}.sms.json`, `${JSON.stringify({ to, from: smsFrom, text })}\n`),
    forget: async (userId, keys = []) => {
      const first = keys.flatMap((key) => [`${key}.eml`, `${key}.sms.json`])
      await Promise.all([String(userId), ...first].map((name) => rm(join(folder, name), { recursive: true, force: true })))
    },
    close: async () => {},
  }
}

export const createProviders = (options: ProviderOptions): Providers => {
  const { smtpUrl, smsUrl, smsFrom, dataDir, log } = options
  const compose = composer(options)
  const folder = resolve(dataDir, 'mail')
  const files = mailFolder(folder, compose, smsFrom)
  if (!smtpUrl) log.info({ folder }, 'SMTP_URL is not set: e-mail is written to this folder')
  if (!smsUrl) log.info({ folder }, 'SMS_URL is not set: SMS is written to this folder')
  const mail = smtpUrl ? smtpEmail(smtpUrl, compose, 5) : files
  const accountMail = smtpUrl ? smtpEmail(smtpUrl, compose, 2) : files
  const sms = smsUrl ? httpSms(smsUrl, smsFrom) : files
  return {
    email: mail.email,
    accountEmail: accountMail.email,
    sms: sms.sms,
    keepsCopies: { email: !smtpUrl, sms: !smsUrl },
    forget: files.forget,
    close: async () => {
      await Promise.all([mail.close(), accountMail.close(), sms.close()])
    },
  }
}
