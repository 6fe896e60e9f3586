import t from 'tap'
import { createPasswords, refuseGuessable } from '../../src/modules/user/sign-in/passwords.ts'
import { networkOf } from '../../src/modules/user/sign-in/sign-in-throttle.ts'
import type { Failure } from '../../src/platform/errors.ts'

t.test('argon2id in PHC form with the stated parameters, salted', async (t) => {
  const passwords = createPasswords()
  const [one, two] = [await passwords.hash('correct horse'), await passwords.hash('correct horse')]
  t.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(one, two)
  t.equal(await passwords.matches(one, 'correct horse'), true)
  t.equal(await passwords.matches(one, 'correct horsf'), false)
})

t.test('who has no password never matches', async (t) => {
  const passwords = createPasswords()
  for (const password of ['', 'dummy', 'correct horse']) t.equal(await passwords.matches(null, password), false)
})

t.test('the same letters in another Unicode form are the same password', async (t) => {
  const passwords = createPasswords()
  t.equal(await passwords.matches(await passwords.hash('Ame\u0301lie 12'), 'Am\u00e9lie 12'), true)
})

t.test('as many as have a place are served, the others are told when to come again', async (t) => {
  const passwords = createPasswords({ concurrency: 1, queue: 3 })
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => passwords.matches(null, 'x')))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 4)
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Failure] : []))
  t.equal(refused.length, 6)
  for (const failure of refused) t.match(failure, { code: 'auth.busy', status: 503, details: { retry_after: Number } })
  t.equal(await passwords.matches(null, 'x'), false, 'and later there is a place again')
})

t.test('a password that is the address is refused, whatever its case', async (t) => {
  t.throws(() => refuseGuessable('ADA@example.com', 'ada@Example.com', 'password'), { code: 'request.invalid' })
  t.doesNotThrow(() => refuseGuessable('ada@example.com!', 'ada@example.com', 'password'))
})

t.test('a client is its IPv4 address, or its IPv6 network', async (t) => {
  t.equal(networkOf('203.0.113.7'), '203.0.113.7')
  t.equal(networkOf('::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(networkOf('2001:db8:0:1:2:3:4:5'), '2001:db8:0:1::/64')
  t.equal(networkOf('2001:DB8::1:ffff:1:2:3'), networkOf('2001:db8:0:1::9'))
  t.not(networkOf('2001:db8:0:2::9'), networkOf('2001:db8:0:1::9'))
  t.equal(networkOf('::1'), '0:0:0:0::/64')
  t.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0::/64')
})
