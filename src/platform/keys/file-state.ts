import { type Stats, statSync } from 'node:fs'

/** Undefined for a missing file. */
export const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false })

/** Changes when the file is written or replaced. */
export const stateOf = (stat: Stats | undefined): string => (stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'missing')

export const isReadByAll = (stat: Stats): boolean => (stat.mode & 0o007) !== 0
