// Runs in the cluster: somebody to connect to.
import { createServer } from 'node:net'

for (const port of [8080, 9464]) createServer((socket) => socket.end()).listen(port)
console.log('listening')
