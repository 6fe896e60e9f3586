/** A key that is missing or readable by everybody: one line for the operator. */
export class KeysError extends Error {
  override readonly name = 'KeysError'
}
