/**
 * Calls `late` in `ms` milliseconds, unless it is cleared before. A process that waited for a processor finds its timers due
 * before it has read its sockets: it reads them first, since an answer that lies there is not late.
 */
export const whenLate = (ms: number, late: () => void): NodeJS.Timeout => setTimeout(() => setImmediate(late), ms)
