/** A key that is missing or that everybody can read: one line for whoever starts the process. */
export class KeysError extends Error {
  override readonly name = 'KeysError'
}
