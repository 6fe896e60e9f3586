import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { takenPortLine } from '../../../../src/app/port-taken.ts'
import { npmLine } from '../../../../src/commands/command-line.ts'
import { findPortHolder, readLsof, readNetstat } from '../../../../src/platform/boot/port-holder.ts'

const host = '127.0.0.1'

t.test('names the program that uses a port, and a command with free ports', async (t) => {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  t.same(await findPortHolder(port), { name: 'node', pid: process.pid })

  const config = { host, port, metricsPort: 0 }
  const line = await takenPortLine(port, config, { DATA_DIR: '/a b' })
  const [, offered] = /: DATA_DIR='\/a b' PORT=(\d+) npm start$/.exec(line) ?? []
  const other = createServer().listen(Number(offered), host)
  await once(other, 'listening')
  other.close()
  t.match(line, `port ${port} is in use by node (process ${process.pid}); this starts beside it: `)
  t.match(await takenPortLine(port, config, { npm_lifecycle_event: 'dev' }, 'win32'), /: cmd \/c "set PORT=\d+&& npm run dev"$/)
})

t.test('parses the output of lsof and netstat', (t) => {
  t.same(readLsof('p412\ncControlCenter\nf10\n'), { name: 'ControlCenter', pid: 412 })
  t.equal(readLsof(''), undefined)
  const netstat = [
    '  Proto  Lokale Adresse         Remoteadresse          Status           PID',
    '  TCP    127.0.0.1:5000         127.0.0.1:61000        HERGESTELLT      99',
    '  TCP    127.0.0.1:15000        0.0.0.0:0              ABHÖREN          98',
    '  TCP    127.0.0.1:5000         0.0.0.0:0              ABHÖREN          4242',
  ].join('\r\n')
  t.equal(readNetstat(netstat, 5000), 4242)
  t.equal(readNetstat(netstat, 5001), undefined)
  t.end()
})

t.test("a command line for the platform's shell", (t) => {
  const variables = { PORT: '5050', DATA_DIR: "it's", KEYS_DIR: undefined }
  t.equal(npmLine('start', variables, 'linux'), "PORT=5050 DATA_DIR='it'\\''s' npm start")
  t.equal(
    npmLine('start', { PORT: '5050', METRICS_PORT: '9465' }, 'win32'),
    'cmd /c "set PORT=5050&& set METRICS_PORT=9465&& npm start"',
  )
  t.equal(npmLine('run reset-admin', {}, 'win32'), 'npm run reset-admin')
  t.end()
})
