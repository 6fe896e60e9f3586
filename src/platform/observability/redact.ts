/** Bounded, so that no text makes it slow. `%40` is the sign in a path. */
const address = /[^\s<>"'(),:;[\]\\/=@]{1,128}(?:@|%40)[^\s<>"'(),:;[\]\\/@]+/gi
/** E.164; `%2B` is the sign in a path. */
const phone = /(?:\+|%2B)[1-9]\d{6,14}(?!\d)/gi

/** The text without e-mail addresses and telephone numbers, which third-party error messages quote. */
export const withoutContacts = (text: string): string => {
  const mayName = text.includes('@') || text.includes('%40')
  const mayCall = text.includes('+') || text.includes('%2')
  const unnamed = mayName ? text.replace(address, '[redacted]') : text
  return mayCall ? unnamed.replace(phone, '[redacted]') : unnamed
}

/** An error's message without the data that it quotes. */
export const safeMessage = (error: Error): string => {
  const { code } = error as { code?: unknown }
  // V8 quotes invalid JSON; PostgreSQL's class 22 (data exception) quotes the invalid value.
  if (error instanceof SyntaxError && /JSON/.test(error.message)) return 'the text is not JSON'
  const quotes = typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code)
  return withoutContacts(quotes ? error.message.replace(/".*"/s, '[redacted]') : error.message)
}
