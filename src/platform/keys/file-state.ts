import { type Stats, statSync } from 'node:fs'

/** Undefined for a file that is not there. */
export const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false })

/** Differs from what it was when the file was written, or another was put in its place. */
export const stateOf = (stat: Stats | undefined): string => (stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'missing')

export const isReadByAll = (stat: Stats): boolean => (stat.mode & 0o007) !== 0
