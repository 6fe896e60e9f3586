import { dictionary } from '@zxcvbn-ts/language-common'
import t from 'tap'
import { assertPassword } from '../../../../../src/modules/user/sign-in/password-policy.ts'
import { createPasswords } from '../../../../../src/modules/user/sign-in/passwords.ts'
import type { Failure } from '../../../../../src/platform/errors.ts'

t.test('argon2id in PHC form with the stated parameters, salted', async (t) => {
  const passwords = createPasswords()
  const [one, two] = [await passwords.hash('correct horse'), await passwords.hash('correct horse')]
  t.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(one, two)
  t.equal(await passwords.matches(one, 'correct horse'), true)
  t.equal(await passwords.matches(one, 'correct horsf'), false)
})

t.test('an account without a password never matches', async (t) => {
  const passwords = createPasswords()
  for (const password of ['', 'dummy', 'correct horse']) t.equal(await passwords.matches(null, password), false)
})

t.test('Unicode forms of the same password match', async (t) => {
  const passwords = createPasswords()
  t.equal(await passwords.matches(await passwords.hash('Ame\u0301lie 12'), 'Am\u00e9lie 12'), true)
})

t.test('requests beyond the queue limit are refused with Retry-After', async (t) => {
  const passwords = createPasswords({ concurrency: 1, queue: 3 })
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => passwords.matches(null, 'x')))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 4)
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Failure] : []))
  t.equal(refused.length, 6)
  for (const failure of refused) t.match(failure, { code: 'auth.busy', status: 503, details: { retry_after: Number } })
  t.equal(await passwords.matches(null, 'x'), false, 'later requests succeed again')
})

t.test('rules for new passwords', async (t) => {
  const ada = { name: 'Augusta Ada King', email: 'Augusta.Ada@example.com' }
  const refused = (password: string, code: string) =>
    t.rejects(
      assertPassword(password, ada, 'new_password'),
      { code, details: { field: '/body/new_password' } },
      JSON.stringify(password),
    )
  for (const seen of [' ', '\u3000', '\u200b', '\u00ad', '\u2800', '\u3164', '\ufeff', 'a ', '\u200d\u200c'])
    await refused(seen.repeat(4).padEnd(100, seen), seen === 'a ' ? 'user.password_too_common' : 'user.password_too_short')
  await refused(`a${' '.repeat(40)}b`, 'user.password_too_short')
  for (const own of ['AUGUSTA.ADA@example.com', 'augusta.ada', 'augusta ada king', 'Ａｕｇｕｓｔａ Ada  King', 'OrderHub'])
    await refused(own, 'user.password_personal')
  for (const common of [
    'password',
    'PassWord',
    'ｐａｓｓｗｏｒｄ',
    '12345678',
    '１２３４５６７８',
    'qwertyuiop',
    'iloveyou1',
    'a12345678',
  ])
    await refused(common, 'user.password_too_common')
  for (const again of ['aaaaaaaaaaaa', '88888888', 'abababab', '1234512345'.slice(0, 8).padEnd(12, '1234'), '鍵盤鍵盤鍵盤鍵盤'])
    if (/^(.{1,4}?)\1+$/u.test(again)) await refused(again, 'user.password_too_common')
  for (const good of [
    'augusta.ada@example.com!',
    'a quiet harbour 7',
    'pass word',
    '正確 馬匹 電池 訂書針',
    '👩‍👩‍👧🐎🔋📎🌊⚓️🚢🗼',
    'zxcvbnm,./',
  ])
    await t.resolves(assertPassword(good, ada, 'password'), good)
  await t.resolves(assertPassword(`${'long '.repeat(25)}end`, ada, 'password'), '128 characters')
})

t.test('the 3000 most common passwords of sufficient length are refused', async (t) => {
  const list = (dictionary['passwords-common'] as readonly string[]).filter((password) => password.length >= 8)
  t.ok(list.length >= 3000, `${list.length}`)
  for (const password of list.slice(0, 3000))
    await assertPassword(password.toUpperCase(), { name: 'Ada', email: 'a@example.com' }, 'password').then(
      () => t.fail(password),
      ({ code }) => code === 'user.password_too_common' || t.fail(`${password}: ${code}`),
    )
})
