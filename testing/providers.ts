import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { type Mail, readMail } from './mime.ts'

/**
 * What a provider does with a message: accepts it; refuses it; closes the connection before it has received it; sends no
 * response; or accepts it and closes the connection without a response.
 */
export type Behaviour = 'accept' | 'refuse' | 'close' | 'hang' | 'lose'

export interface Sms {
  readonly to: string
  readonly from: string
  readonly text: string
}

export interface Provider<Message> {
  readonly url: string
  /** The idempotency keys of all accepted messages. */
  keys(): string[]
  /** Every accepted copy of one message, in order. */
  copies(key: string): readonly Message[]
  /** Number of accepted copies after the first of each key. */
  duplicates(): number
  /** Number of attempts that it did not accept. */
  refusals(): number
  /** Number of attempts that still wait for a response, and of those that the sender has ended without one. */
  hanging(): number
  abandoned(): number
  /** When it accepted the first copy of the newest key (epoch milliseconds). */
  lastNewAt(): number
  behave(behaviour: Behaviour): void
}

const createLedger = <Message>() => {
  const byKey = new Map<string, Message[]>()
  let behaviour: Behaviour = 'accept'
  let refusals = 0
  let hanging = 0
  let abandoned = 0
  let lastNewAt = 0
  return {
    /** Records an attempt and returns what to do. */
    decide: (): Behaviour => {
      if (behaviour !== 'accept' && behaviour !== 'lose') refusals += 1
      return behaviour
    },
    hang: (socket: Socket | undefined) => {
      hanging += 1
      socket?.once('close', () => {
        hanging -= 1
        abandoned += 1
      })
    },
    take: (key: string, message: Message) => {
      if (!byKey.has(key)) lastNewAt = Date.now()
      byKey.set(key, [...(byKey.get(key) ?? []), message])
    },
    view: {
      keys: () => [...byKey.keys()],
      copies: (key: string): readonly Message[] => byKey.get(key) ?? [],
      duplicates: () => [...byKey.values()].reduce((sum, copies) => sum + copies.length - 1, 0),
      refusals: () => refusals,
      hanging: () => hanging,
      abandoned: () => abandoned,
      lastNewAt: () => lastNewAt,
      behave: (next: Behaviour) => {
        behaviour = next
      },
    },
  }
}

const startSmtp = async (): Promise<{ provider: Provider<Mail>; stop(): Promise<void> }> => {
  const ledger = createLedger<Mail>()
  const sockets = new Map<number | undefined, Socket>()
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    closeTimeout: 100,
    onRcptTo: (_address, session, callback) => {
      const behaviour = ledger.decide()
      if (behaviour === 'refuse') return callback(Object.assign(new Error('try again later'), { responseCode: 451 }))
      if (behaviour === 'close') return void sockets.get(session.remotePort)?.destroy()
      if (behaviour === 'hang') return ledger.hang(sockets.get(session.remotePort))
      callback()
    },
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const mail = readMail(Buffer.concat(chunks).toString('latin1'))
        ledger.take(mail.messageId.replace(/^<(.*)@.*>$/, '$1'), mail)
        if (ledger.decide() === 'lose') return void sockets.get(session.remotePort)?.destroy()
        callback()
      })
    },
  })
  server.on('error', () => {})
  server.server.on('connection', (socket) => {
    const { remotePort } = socket
    sockets.set(remotePort, socket)
    socket.once('close', () => sockets.delete(remotePort))
  })
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  return {
    provider: { url: `smtp://127.0.0.1:${port}`, ...ledger.view },
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

const startSms = async (): Promise<{ provider: Provider<Sms>; stop(): Promise<void> }> => {
  const ledger = createLedger<Sms>()
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const behaviour = ledger.decide()
      if (behaviour === 'hang') return ledger.hang(request.socket)
      if (behaviour === 'close') return void request.socket.destroy()
      if (behaviour === 'refuse') return void response.writeHead(429).end()
      ledger.take(String(request.headers['idempotency-key']), JSON.parse(body))
      if (behaviour === 'lose') return void request.socket.destroy()
      response.writeHead(202).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    provider: { url: `http://127.0.0.1:${port}/messages`, ...ledger.view },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export interface TestProviders {
  readonly email: Provider<Mail>
  readonly sms: Provider<Sms>
  /** Configuration of the notification module. */
  readonly env: { readonly SMTP_URL: string; readonly SMS_URL: string }
  stop(): Promise<void>
}

/** A real SMTP server and a real HTTP endpoint on loopback, which store accepted messages by idempotency key. */
export const startProviders = async (): Promise<TestProviders> => {
  const [smtp, sms] = await Promise.all([startSmtp(), startSms()])
  return {
    email: smtp.provider,
    sms: sms.provider,
    env: { SMTP_URL: smtp.provider.url, SMS_URL: sms.provider.url },
    stop: async () => {
      await Promise.all([smtp.stop(), sms.stop()])
    },
  }
}
