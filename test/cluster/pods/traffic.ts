// Runs in the cluster, alone, with the image's Node.js. Reads the catalogue at a constant rate until SIGUSR2; then prints the
// response statuses of each second as its last line.
import { setTimeout as wait } from 'node:timers/promises'

const url = `${process.env.BASE_URL}/api/v1/products?limit=5`
const rate = Number(process.env.RATE)
const seconds = new Map<number, Record<string, number>>()

const one = async () => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(15_000) }).then(
    async (response) => {
      await response.arrayBuffer()
      return String(response.status)
    },
    () => 'none',
  )
  const second = Math.floor(Date.now() / 1000)
  const counts = seconds.get(second) ?? {}
  counts[answer] = (counts[answer] ?? 0) + 1
  seconds.set(second, counts)
}

let stopping = false
process.once('SIGUSR2', () => {
  stopping = true
})
const begun = Date.now()
const running = new Set<Promise<void>>()
console.log('traffic begins')
for (let sent = 0; !stopping; await wait(10)) {
  for (const due = ((Date.now() - begun) * rate) / 1000; sent < due; sent++) {
    const request = one().finally(() => running.delete(request))
    running.add(request)
  }
}
await Promise.all(running)
console.log(JSON.stringify([...seconds]))
