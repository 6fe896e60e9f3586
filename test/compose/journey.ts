import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import { eventually } from '../../testing/eventually.ts'
import { clientOf, isProblem, newOrder, newProduct, newUser, type Target } from '../contract/target.ts'
import type { Composition } from './docker.ts'

const inMail = { timeoutMs: 60_000, everyMs: 200 }

interface CaughtMail {
  readonly to: readonly { readonly address: string }[]
  readonly text: string
}
const mailsTo = async (mailUrl: string, address: string): Promise<CaughtMail[]> => {
  const mails = (await (await fetch(`${mailUrl}/email`)).json()) as CaughtMail[]
  return mails.filter(({ to }) => to.some((one) => one.address === address))
}

const login = async (url: string, email: string, password: string): Promise<Record<string, string>> => {
  const { status, body } = await call(`${url}/api/v1/auth/login`, 'POST', { email, password })
  if (status !== 200) throw new Error(`200 expected, ${status} came: ${JSON.stringify(body)}`)
  return { authorization: `Bearer ${body.data.access_token}` }
}

/** As described at the end of docker-compose.yml: a mailed token, a new password, a sign-in. */
export const signInByMail = async (url: string, mailUrl: string): Promise<Record<string, string>> => {
  const email = 'xiaoming@example.com'
  const password = randomBytes(15).toString('base64url')
  await call(`${url}/api/v1/auth/password/forgot`, 'POST', { email })
  const token = await eventually(async () => {
    const [mail] = await mailsTo(mailUrl, email)
    return /^[\w-]{43}$/m.exec(mail?.text ?? '')?.[0] ?? false
  }, inMail)
  const { status } = await call(`${url}/api/v1/auth/password/reset`, 'POST', { token, password })
  if (status !== 200) throw new Error(`the password was not set: ${status}`)
  return login(url, email, password)
}

export const signInWith = login

/** Journeys through all services, PostgreSQL, Redis and the mail catcher, some of which are killed meanwhile. */
export const journeySuite = async (t: Test, composition: Composition, target: Target, mailUrl: string): Promise<void> => {
  const client = clientOf(target)
  const { compose, inside, services } = composition
  const [audit = ''] = services.toReversed()
  const notification = services.length === 1 ? audit : 'notification'

  const mailed = (address: string) => eventually(async () => (await mailsTo(mailUrl, address)).length > 0, inMail)
  const buy = async () => {
    const [user, product] = [await newUser(client), await newProduct(client, {}, 5)]
    const order = await newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] })
    return { user, product, order }
  }

  await t.test('an order without a token is refused and recorded', async (t) => {
    const body = { user_id: 1, items: [{ product_id: 1, quantity: 1 }] }
    isProblem(t, await call(`${target.url}/api/v1/orders`, 'POST', body), 401, 'auth.required')
    await eventually(async () => {
      const { data } = (await client.get('/audit?decision=denied')).body
      return data.some(({ action }: { action: string }) => action === 'POST /api/v1/orders')
    }, inMail)
  })

  await t.test('an order is mailed and recorded; its proof and the trail verify', async (t) => {
    const { user, order } = await buy()
    await mailed(user.email)
    const entry = await eventually(async () => {
      const { data } = (await client.get(`/audit?resource_type=order&resource_id=${order.id}`)).body
      return data[0] ?? false
    }, inMail)
    t.match(entry, { action: 'order.created', decision: 'approved', actor: { type: 'user', id: '1' } })
    const proof = await eventually(async () => {
      const { status, body } = await client.get(`/audit/${entry.id}/proof`)
      return status === 200 && body.data
    }, inMail)
    t.match(proof.checkpoint, /^orderhub|\n\d+\n/)
    const url = 'postgres://audit_service:audit@postgres/orderhub_audit'
    const verify = ['node', 'dist/audit.js', 'verify', '--database', url, '--checkpoint', '/data/audit-anchor', '--keys', '/keys']
    await eventually(async () => t.match(await inside(audit, ...verify), /^fine: \d+ entries/), inMail)
  })

  await t.test('a second factor is enrolled with a QR code', async (t) => {
    const password = randomBytes(15).toString('base64url')
    const { email } = (await client.post('/users', { name: 'Ada', email: `factor-${Date.now()}@example.com`, password })).body
      .data
    const signedIn = await login(target.url, email, password)
    const proven = await call(`${target.url}/api/v1/auth/reauthenticate`, 'POST', { password }, signedIn)
    const headers = { authorization: `Bearer ${proven.body.data.access_token}` }
    const { status, body } = await call(`${target.url}/api/v1/auth/mfa/enrol`, 'POST', undefined, headers)
    t.equal(status, 200)
    t.match(body.data.qr, /^data:image\/png;base64,/)
  })

  await t.test('Redis is killed before the order: the mail is still sent', async (t) => {
    await compose('kill', 'redis')
    const { user } = await buy()
    await compose('up', '--detach', '--wait', '--no-deps', 'redis')
    t.ok(await mailed(user.email))
  })

  await t.test('the notification service is killed after the order: the mail is still sent', async (t) => {
    const { user } = await buy()
    await compose('kill', notification)
    await compose('up', '--detach', '--wait', '--no-deps', notification)
    t.ok(await mailed(user.email))
  })

  await t.test('PostgreSQL is recreated: the data is kept', async (t) => {
    const { order } = await buy()
    await compose('up', '--detach', '--wait', '--no-deps', '--force-recreate', 'postgres')
    const answer = await eventually(async () => {
      const { status, body } = await client.get(`/orders/${order.id}`)
      return status === 200 && body
    }, inMail)
    t.same(answer.data, order)
  })

  await t.test('keys are rotated without a restart, and sessions stay valid', async (t) => {
    await compose('run', '--rm', 'keys', 'rotate')
    t.equal((await client.get('/orders?limit=1')).status, 200)
    await buy()
  })
}
