/** Bounded, so that no text makes it slow. `%40` is how a path spells the sign. */
const address = /[^\s<>"'(),:;[\]\\/=@]{1,128}(?:@|%40)[^\s<>"'(),:;[\]\\/@]+/gi
/** E.164; `%2B` is how a path spells the sign. */
const phone = /(?:\+|%2B)[1-9]\d{6,14}(?!\d)/gi

/** The text without e-mail addresses and telephone numbers, which other people's error messages quote. */
export const withoutContacts = (text: string): string => {
  const mayName = text.includes('@') || text.includes('%40')
  const mayCall = text.includes('+') || text.includes('%2')
  const unnamed = mayName ? text.replace(address, '[redacted]') : text
  return mayCall ? unnamed.replace(phone, '[redacted]') : unnamed
}

/** An error's message without what it quotes of the data that it is about. */
export const safeMessage = (error: Error): string => {
  const { code } = error as { code?: unknown }
  // V8 quotes the text that is not JSON; PostgreSQL's class 22 (data exception) the value that does not fit.
  if (error instanceof SyntaxError && /JSON/.test(error.message)) return 'the text is not JSON'
  const quotes = typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code)
  return withoutContacts(quotes ? error.message.replace(/".*"/s, '[redacted]') : error.message)
}
