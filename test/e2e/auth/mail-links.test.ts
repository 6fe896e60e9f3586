import t from 'tap'
import { mailedToken, password, signIn } from '../../../testing/accounts.ts'
import { call, runApp } from '../../../testing/app.ts'
import { isAccessible, openBrowser, withoutBrowser } from '../../../testing/browser.ts'
import { freePort } from '../../../testing/port.ts'

const port = await freePort()
const PUBLIC_URL = `http://127.0.0.1:${port}`
const run = await runApp(t, { AUTH: 'on', REGISTRATION: 'verify', PUBLIC_URL, PORT: String(port) })
const { api, dataDir } = run

const linkIn = (text: string): string => new RegExp(`${PUBLIC_URL}/\\S+#token=\\S+`).exec(text)?.[0] ?? 'no link'

const words = {
  en: {
    confirm: 'Confirm',
    confirmed: 'Your e-mail address is confirmed. You can sign in with it now.',
    own: 'Password of the account',
    wrong: /password is wrong/,
    used: /used already/,
    set: 'Set the password',
    field: 'New password',
    show: 'Show the password',
    code: 'Code from the mail',
    changed: 'Your new password is set. You can sign in with it now.',
    other: '繁體中文',
  },
  'zh-TW': {
    confirm: '確認',
    confirmed: '您的電子郵件已確認，現在可以用它登入。',
    own: '帳號的密碼',
    wrong: /密碼錯誤/,
    used: /已使用過/,
    set: '設定密碼',
    field: '新密碼',
    show: '顯示密碼',
    code: '信中的驗證碼',
    changed: '新密碼已設定，您現在可以用它登入。',
    other: 'English',
  },
} as const

for (const locale of ['en', 'zh-TW'] as const) {
  const say = words[locale]

  t.test(`${locale}: registration, sign-in, then a new password`, { skip: withoutBrowser }, async (t) => {
    const email = `${locale.toLowerCase()}@example.com`
    const { id } = (await api('/users', 'POST', { name: 'Ada', email, password, locale })).body.data
    const { mail } = await mailedToken(dataDir, id)
    t.equal((await signIn(run, email)).status, 403)

    // The language is the mail's, not the browser's.
    const { page, complaints, requests } = await openBrowser(t, { locale: locale === 'en' ? 'zh-TW' : 'en' })
    const link = linkIn(mail.parts['text/plain'] ?? '')
    await page.goto(link)
    t.equal(await page.getAttribute('html', 'lang'), locale)
    if (locale === 'zh-TW') await isAccessible(t, page, 'activation')
    const own = page.getByLabel(say.own, { exact: true })
    await own.fill('not that one')
    await page.getByRole('button', { name: say.confirm }).click()
    await page.getByRole('alert').filter({ hasText: say.wrong }).waitFor()
    t.equal((await signIn(run, email)).status, 403)
    await own.fill(password)
    await page.getByRole('button', { name: say.confirm }).click()
    await page.getByText(say.confirmed).waitFor()
    t.equal(
      await page.evaluate('document.activeElement.textContent'),
      say.confirmed,
      'focused, so that a screen reader announces it',
    )
    t.notMatch(page.url(), 'token', 'the token is removed from the URL')
    t.equal((await signIn(run, email)).status, 200)

    await page.goto(link)
    await own.fill(password)
    await page.getByRole('button', { name: say.confirm }).click()
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor()
    t.match(await page.getByRole('alert').textContent(), say.used)

    await api('/auth/password/forgot', 'POST', { email })
    const { mail: second } = await mailedToken(dataDir, id, 2)
    await page.goto(linkIn(second.parts['text/plain'] ?? ''))
    await page.getByRole('link', { name: say.other }).click()
    await page.getByRole('link', { name: locale === 'en' ? 'English' : '繁體中文' }).click()
    const field = page.getByLabel(say.field, { exact: true })
    await field.fill('short')
    await page.getByRole('button', { name: say.set }).click()
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor()
    t.equal(await page.evaluate('document.activeElement.name'), 'password', 'the invalid field has the focus')
    t.equal(await field.getAttribute('aria-invalid'), 'true')
    if (locale === 'en') await isAccessible(t, page, 'a refused password')
    await field.fill('another harbour 7')
    await page.getByLabel(say.show).check()
    t.equal(await field.getAttribute('type'), 'text')
    await page.getByRole('button', { name: say.set }).click()
    await page.getByText(say.changed).waitFor()
    t.equal((await signIn(run, email)).status, 401)
    t.equal((await signIn(run, email, { password: 'another harbour 7' })).status, 200)

    t.same(complaints, [], 'no violation of the content security policy')
    t.ok(requests.every((url) => url.startsWith('data:') || url.startsWith(PUBLIC_URL)))
    t.notOk(requests.some((url) => new URL(url).search.includes('token')))
  })
}

t.test('without the token in the URL, the user types the code', { skip: withoutBrowser }, async (t) => {
  const { id, email } = (await api('/users', 'POST', { name: 'Ada', email: 'typed@example.com', password })).body.data
  const { token } = await mailedToken(dataDir, id)
  const { page } = await openBrowser(t)
  await page.goto(`${PUBLIC_URL}/activate`)
  await isAccessible(t, page, 'code')
  const field = page.getByLabel(words.en.code)
  await field.fill('wrong')
  await page.getByLabel(words.en.own, { exact: true }).fill(password)
  await page.getByRole('button').click()
  await page.getByRole('alert').filter({ hasText: /./ }).waitFor()
  t.match(await page.getByRole('alert').textContent(), words.en.used)
  await field.fill(` ${token} `)
  await page.getByRole('button').click()
  await page.getByText(words.en.confirmed).waitFor()
  t.equal((await signIn(run, email)).status, 200)
})

t.test('without JavaScript or network, the page says what to do', { skip: withoutBrowser }, async (t) => {
  for (const path of ['/activate', '/reset-password']) {
    const { page } = await openBrowser(t, { javaScript: false })
    await page.goto(`${PUBLIC_URL}${path}#token=x`)
    t.match(await page.textContent('noscript'), /needs JavaScript.*POST \/api\/v1\/auth\//)
    t.equal(await page.getByRole('button').count(), 0)
  }
  const { page } = await openBrowser(t)
  await page.goto(`${PUBLIC_URL}/activate#token=x`)
  await page.context().setOffline(true)
  await page.getByLabel(words.en.own, { exact: true }).fill(password)
  await page.getByRole('button').click()
  await page.getByText('could not be reached').waitFor()
})

t.test('responses for the pages and their files', async (t) => {
  for (const path of ['/activate', '/reset-password']) {
    const url = `${PUBLIC_URL}${path}?utm_source=mail`
    const { status, headers, body } = await call(url, 'GET', undefined, { 'accept-language': 'zh-TW' })
    t.equal(status, 200)
    t.match(body, '<html lang="zh-TW">')
    t.notMatch(body, /<script(?![^>]* src=)|<style| style=| on\w+=/, 'nothing inline')
    t.equal(headers.get('content-type'), 'text/html; charset=utf-8')
    t.equal(headers.get('cache-control'), 'no-store')
    t.equal(headers.get('referrer-policy'), 'no-referrer')
    t.notMatch(headers.get('content-security-policy'), 'unsafe')
    t.match(headers.get('content-security-policy'), /default-src 'none'.*script-src 'self'/)
  }
  const types = { 'style.css': 'text/css', 'mail-link.js': 'application/javascript', 'none.js': 'application/problem+json' }
  for (const [file, type] of Object.entries(types)) {
    const { headers } = await fetch(`${PUBLIC_URL}/assets/${file}`)
    t.equal(headers.get('content-type'), `${type}; charset=utf-8`)
    t.equal(headers.get('x-content-type-options'), 'nosniff')
  }
  for (const path of ['/assets/', '/assets/%2e%2e/pages.ts', '/assets/..%2fpages.ts', '/assets/.hidden'])
    t.equal((await fetch(`${PUBLIC_URL}${path}`)).status, 404, path)
})
