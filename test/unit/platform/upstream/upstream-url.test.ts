import { pino } from 'pino'
import t from 'tap'
import { createUpstream, parseUpstream } from '../../../../src/platform/upstream/upstream.ts'
import { NAME } from '../../../../testing/upstream.ts'

t.test('parseUpstream accepts the three forms', async (t) => {
  t.same(parseUpstream('http://user:5001/'), { kind: 'static', origins: ['http://user:5001'] })
  t.same(parseUpstream('https://a, http://b:1,https://a/'), { kind: 'static', origins: ['https://a', 'http://b:1'] })
  t.same(parseUpstream(`dns+srv://${NAME}`), { kind: 'srv', scheme: 'http', name: NAME, server: undefined })
  const consul = parseUpstream('dns+srvs://user.service.consul?server=consul:8600')
  t.match(consul, { scheme: 'https', name: 'user.service.consul', server: { host: 'consul', port: 8600 } })
  t.match(parseUpstream('dns+srv://a?server=[::1]:5300'), { server: { host: '::1', port: 5300 } })
  t.match(parseUpstream('dns+srv://a?server=127.0.0.1'), { server: { host: '127.0.0.1', port: 53 } })
})

t.test('parseUpstream refuses everything else with one line', async (t) => {
  const bad: Record<string, RegExp> = {
    '': /must start with/,
    'user:5001': /must start with/,
    'ftp://user': /must start with/,
    'http://a,': /must start with/,
    'http://a b': /is not a URL/,
    'http://a/base': /path/,
    'http://a?b=1': /query/,
    'http://root:secret@a': /credentials/,
    'http://a,dns+srv://b': /part of a list/,
    'dns+srv://': /DNS name/,
    'dns+srv://a..b': /DNS name/,
    [`dns+srv://${'a'.repeat(64)}`]: /DNS name/,
    'dns+srv://a:53': /port comes from/,
    'dns+srv://a?resolver=b': /only parameter/,
    'dns+srv://a?server=b:99999': /host or host:port/,
  }
  for (const [url, reason] of Object.entries(bad)) {
    t.throws(() => parseUpstream(url), { message: reason }, url)
    t.throws(
      () => createUpstream({ name: 'user', url, log: pino({ level: 'silent' }) }),
      { message: /^bad upstream URL "[^\n]*$/ },
      url,
    )
  }
  t.throws(() => parseUpstream('http://root:secret@a'), { message: /^(?!.*secret)/ }, 'no password in the message')
})
