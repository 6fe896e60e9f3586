// Runs in the cluster: tests which of the given addresses accept a connection.
import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'

const outcomeOf = async (target: string): Promise<string> => {
  const at = target.lastIndexOf(':')
  const found = await lookup(target.slice(0, at)).catch(() => undefined)
  if (!found) return 'no such name'
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect({ host: found.address, port: Number(target.slice(at + 1)), timeout: 3000 })
  socket.on('connect', () => resolve('open'))
  socket.on('timeout', () => resolve('shut: no response'))
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(`shut: ${error.code}`))
  return promise.finally(() => socket.destroy())
}

const targets = process.argv.slice(1)
const outcomes = await Promise.all(targets.map(async (target) => [target, await outcomeOf(target)]))
console.log(JSON.stringify(Object.fromEntries(outcomes)))
