/** Exit statuses (sysexits.h, and 1 for any other error). Imports nothing: the check of the Node.js version needs it. */
export const exitStatus = { ok: 0, failed: 1, usage: 64, noInput: 66, unavailable: 69, config: 78 } as const
