// Forwards data from clients on port 1025, each chunk after a pause, and responses at once. SIGUSR2 ends the pauses.
import { connect, createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

const host = process.env.TARGET_HOST
let pauseMs = Number(process.env.PAUSE_MS)
process.on('SIGUSR2', () => {
  pauseMs = 0
  console.log('quick')
})

createServer(async (client) => {
  const target = connect(1025, host as string)
  const close = () => {
    client.destroy()
    target.destroy()
  }
  client.on('error', close).on('close', close)
  target.on('error', close).on('close', close)
  target.pipe(client)
  try {
    for await (const piece of client) {
      await wait(pauseMs)
      target.write(piece)
    }
  } catch {
    close()
  }
}).listen(1025, () => console.log('listening'))
