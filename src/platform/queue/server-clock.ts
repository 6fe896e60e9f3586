/** Times within this many milliseconds of now are taken for times. */
const nearMs = 30 * 86_400_000

/** How far another machine's clock is from ours: what several processes write for each other to read is in its time. */
export interface ServerClock {
  /** The server said that it was `serverMs` between our times `askedAt` and `answeredAt`. */
  observe(serverMs: number, askedAt: number, answeredAt: number): void
  /** Our time, where the value is one, as the server's. */
  toServer(value: unknown): unknown
  /** The server's time as ours. */
  fromServer(serverMs: number): number
}

/** Begins without a difference, and changes it by the least that agrees with what the server said (Cristian, 1989). */
export const createServerClock = (): ServerClock => {
  let ahead = 0
  return {
    observe: (serverMs, askedAt, answeredAt) => {
      ahead = Math.round(Math.min(Math.max(ahead, serverMs - answeredAt), serverMs - askedAt))
    },
    toServer: (value) => (typeof value === 'number' && Math.abs(value - Date.now()) < nearMs ? value + ahead : value),
    fromServer: (serverMs) => serverMs - ahead,
  }
}
