/** `node --import` this file: the program shuts down gracefully when the process that started it closes the channel or dies. */
process.once('disconnect', () => {
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(0)
})
process.channel?.unref()
