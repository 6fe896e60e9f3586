import { randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

const size = 16
/** One system call for many ids. */
const pool = Buffer.alloc(size * 256)
let used = pool.length

/** Fresh random bytes; use them before the next call. */
const fresh = (bytes: number): Buffer => {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.subarray(used - bytes, used)
}

/** A uuid v7 (RFC 9562): sorted by time, with millisecond precision. */
export const newUuid = (): string => v7({ random: fresh(16) })

/** A new trace's traceparent (W3C Trace Context): sampled. */
export const newTraceparent = (): string => `00-${fresh(16).toString('hex')}-${fresh(8).toString('hex')}-01`
