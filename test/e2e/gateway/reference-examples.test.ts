import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { call, runApp } from '../../../testing/app.ts'
import { openBrowser, withoutBrowser } from '../../../testing/browser.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type Document, type Route, routesOf } from '../../../testing/openapi.ts'
import { reauthenticated } from '../../../testing/people.ts'

const { url, keysDir } = await runApp(t, { AUTH: 'on' })
const administrator = await reauthenticated(keysDir, 1)
const document = (await call(`${url}/openapi.json`)).body as Document
const routes = routesOf(document)

const madeAtStart = 'the password is created at the first start'
const mailed = 'the token is mailed'
const nothingFailed = 'there is no dead letter'
/** Examples whose response is not 2xx, with the reason. */
const refusals: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  signIn: ['auth.invalid_credentials', madeAtStart],
  refresh: ['auth.invalid_token', 'the token comes from a sign-in'],
  reauthenticate: ['auth.invalid_credentials', madeAtStart],
  resetSecondFactor: ['auth.mfa_not_enrolled', 'no user has a second factor'],
  changePassword: ['auth.invalid_credentials', madeAtStart],
  resetPassword: ['auth.invalid_mail_token', mailed],
  activate: ['auth.invalid_mail_token', mailed],
  confirmSecondFactor: ['auth.invalid_otp', 'an app shows the code'],
  removeSecondFactor: ['auth.invalid_credentials', madeAtStart],
  retryNotification: ['notification.not_retryable', 'no message failed'],
  replayNotificationDeadLetter: ['dead_letter.not_found', nothingFailed],
  replayOrderDeadLetter: ['dead_letter.not_found', nothingFailed],
  replayAuditDeadLetter: ['dead_letter.not_found', nothingFailed],
}

/** The request from a route's examples, without optional parameters. */
const exampleOf = ({ path, parameters, body }: Route) => {
  const values = new Map(parameters.filter((one) => one.in === 'path').map(({ name, example }) => [name, example]))
  return { path: path.replace(/\{(\w+)\}/g, (_, name) => String(values.get(name))), body: body?.example }
}

/** Deletes come last, because other examples use the same resources. */
const inOrder = routes.toSorted((a, b) => Number(a.method === 'DELETE') - Number(b.method === 'DELETE'))

t.test('each operation accepts its examples', async (t) => {
  t.ok(routes.length > 40, `${routes.length} operations`)
  t.same(
    Object.keys(refusals).filter((id) => !routes.some((route) => route.id === id)),
    [],
    'each exception belongs to an operation',
  )
  for (const route of inOrder) {
    const { path, body } = exampleOf(route)
    t.equal(body === undefined, route.body === undefined, `${route.id} has an example of its body`)
    const [refusal = '2xx'] = refusals[route.id] ?? []
    let outcome = ''
    // Messages are sent, and the audit trail is sealed, asynchronously.
    await eventually(async () => {
      const response = await fetch(url + path, {
        method: route.method,
        headers: { ...administrator, ...(body ? { 'content-type': 'application/json' } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      outcome = response.ok ? '2xx' : ((await response.json()) as { code: string }).code
      return outcome === refusal
    }).catch(() => undefined)
    t.equal(outcome, refusal, `${route.id}: ${route.method} ${path}`)
  }
})

t.test('commands copied from the page work', { skip: withoutBrowser }, async (t) => {
  const { page, complaints, requests } = await openBrowser(t, { width: 1400 })
  const lineOf = (text: RegExp) => page.locator('pre').filter({ hasText: 'curl' }).filter({ hasText: text }).first().innerText()
  await page.goto(`${url}/docs/`)
  await page.getByRole('link', { name: 'Sign in', exact: true }).click()
  t.match(await lineOf(/auth\/login/), `curl ${url}/api/v1/auth/login`, 'the introduction links to the sign-in command')

  await page.goto(`${url}/docs/#tag/products/POST/api/v1/products`)
  t.match(await lineOf(/LAMP-1/), 'Bearer YOUR_SECRET_TOKEN')
  t.equal((await lineOf(/\/products\s*$/)).trim(), `curl ${url}/api/v1/products`, 'without optional headers')
  await page.goto(`${url}/docs/#description/introduction`)
  await page.getByPlaceholder('Token').fill(administrator.authorization?.replace('Bearer ', '') ?? '')
  for (const [name, text] of [
    ['products/POST/api/v1/products', /LAMP-1/],
    ['orders/POST/api/v1/orders', /quantity/],
  ] as const) {
    await page.goto(`${url}/docs/#tag/${name}`)
    // The previous test has created this SKU.
    const line = (await lineOf(text)).trim().replace('LAMP-1', 'LAMP-2')
    const { stdout } = await promisify(execFile)('bash', ['-c', `${line} --silent --write-out '%{http_code}'`])
    t.match(stdout, /"success":true.*201$/s, line)
  }
  t.same(complaints, [])
  t.same(
    requests.filter((address) => !address.startsWith(`${url}/`) && !/^(data|blob):/.test(address)),
    [],
    'no request to another server',
  )
})
