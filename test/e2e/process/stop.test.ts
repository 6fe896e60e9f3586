import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { createShutdown } from '../../../src/platform/boot/shutdown.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(180_000)

t.test('a phase that hangs or fails does not block the others', async (t) => {
  const order: string[] = []
  const lines: unknown[] = []
  const log = { warn: (line: unknown) => lines.push(line) }
  const step = (name: string, run: () => Promise<unknown>) => ({
    name,
    limitMs: 50,
    run: () => {
      order.push(name)
      return run()
    },
    force: () => order.push(`${name} by force`),
  })
  const shutdown = createShutdown(log as never)
  shutdown.add(step('opened first', async () => {}))
  shutdown.add(
    step('fails', async () => {
      throw new Error('no')
    }),
  )
  shutdown.add(step('hangs', () => new Promise(() => {})))
  shutdown.add(step('opened last', async () => {}))
  await Promise.all([shutdown.run(), shutdown.run()])
  t.same(order, ['opened last', 'hangs', 'hangs by force', 'fails', 'opened first'], 'each once, in reverse')
  t.match(lines, [{ phase: 'hangs' }, { phase: 'fails', err: Error }])
  t.equal(lines.length, 2)
})

t.test('a client that does not read does not delay the stop: everything is closed, with status 0', async (t) => {
  const postgres = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-stop-'))
  t.teardown(async () => {
    await postgres.stop()
    await rm(folder, { recursive: true })
  })
  const databaseUrl = await postgres.createDatabase('orderhub', storingServices)
  const keysDir = join(folder, 'keys')
  await initKeys(keysDir, serviceNames)
  const service = await startService('all', {
    DATABASE_URL: databaseUrl,
    KEYS_DIR: keysDir,
    DATA_DIR: folder,
    LOG_LEVEL: 'info',
    REQUEST_TIMEOUT_MS: '1000',
  })
  t.teardown(() => service.kill())
  const page = await (await fetch(`${service.url}/docs/`)).text()
  const script = /src="(js\/[^"]+)"/.exec(page)?.[1]
  const socket = connect(service.port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(`GET /docs/${script} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n`.repeat(10))
  await once(socket, 'readable')

  t.equal(await service.stop(), 0)
  const lines = service
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
  t.same(
    lines.filter(({ phase }) => phase).map(({ phase }) => phase),
    ['requests'],
    'the connection is closed, and no other phase is late',
  )
  t.equal(lines.at(-1)?.msg, 'stopped')
})
