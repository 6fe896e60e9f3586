/** What a program ends with (sysexits.h, and 1 for what it does not name). Imports nothing: the check of the Node version needs it. */
export const exitStatus = { ok: 0, failed: 1, usage: 64, noInput: 66, unavailable: 69, config: 78 } as const
