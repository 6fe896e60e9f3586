/** Values within this many milliseconds of now are treated as times. */
const nearMs = 30 * 86_400_000

/** The offset of another machine's clock: what several processes write for each other to read is in its time. */
export interface ServerClock {
  /** The server reported `serverMs`, between our times `askedAt` and `answeredAt`. */
  observe(serverMs: number, askedAt: number, answeredAt: number): void
  /** Converts our time to the server's, if the value is a time. */
  toServer(value: unknown): unknown
  /** The server's time as ours. */
  fromServer(serverMs: number): number
}

/** Starts with offset 0, and changes it by the smallest amount that agrees with the server's reports (Cristian, 1989). */
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
