// Runs in the cluster: accepts connections.
import { createServer } from 'node:net'

for (const port of [8080, 9464]) createServer((socket) => socket.end()).listen(port)
console.log('listening')
