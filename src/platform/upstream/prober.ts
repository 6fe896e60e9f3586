import { Agent, request } from 'undici'
import { abortAfter } from '../concurrency/deadline.ts'

export interface Probe {
  readonly ready: boolean
  /** No response in time. */
  readonly late: boolean
  readonly why: string
}

export interface Prober {
  /** Asks a target whether it accepts requests; never rejects. */
  probe(origin: string): Promise<Probe>
  close(): Promise<void>
}

/** Responds with 2xx when the service accepts requests. */
const path = '/health/ready'
const timeoutMs = 1000

/** Probes have their own connections, so that they never wait behind requests. */
export const createProber = (connect?: Agent.Options['connect']): Prober => {
  const dispatcher = new Agent({ connections: 1, allowH2: false, ...(connect ? { connect } : {}) })
  const stop = new AbortController()
  const ask = async (origin: string, signal: AbortSignal): Promise<Probe> => {
    // A new connection each time: a kept one still works after the server has stopped listening.
    const { statusCode, body } = await request(origin + path, { dispatcher, signal, reset: true })
    await body.dump()
    return { ready: statusCode >= 200 && statusCode < 300, late: false, why: `${path} responded with ${statusCode}` }
  }
  return {
    probe: async (origin) => {
      try {
        return await abortAfter(timeoutMs, (signal) => ask(origin, signal), { outer: stop.signal })
      } catch (error) {
        const { name, message } = error as Error
        return { ready: false, late: name === 'AbortError' || name === 'TimeoutError', why: `${path} failed: ${message}` }
      }
    },
    close: async () => {
      stop.abort()
      await dispatcher.destroy()
    },
  }
}
