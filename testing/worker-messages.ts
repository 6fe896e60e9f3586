/** Sent by a worker. */
export const askForFile = 'next file'

/** The reply: the next file, or undefined after the last one. */
export interface WorkerOrder {
  readonly file?: string
}
