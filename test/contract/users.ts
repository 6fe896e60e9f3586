import type { Test } from 'tap'
import { allPages, type Client, inTotalOrder, isProblem, newUser, unique } from './target.ts'

export const userSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('created, read, changed, deleted', async (t) => {
    const email = `${unique('Grace')}@example.com`
    const answer = await client.post('/users', { name: 'Grace', email, phone: '+886912345678', role: 'admin', locale: 'zh-TW' })
    t.equal(answer.status, 201)
    const { data } = answer.body
    t.match(answer.body, {
      success: true,
      data: { name: 'Grace', email, phone: '+886912345678', role: 'admin', locale: 'zh-TW' },
    })
    t.match(data.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/)
    t.equal(answer.headers.get('location'), `/api/v1/users/${data.id}`)
    t.same((await client.get(`/users/${data.id}`)).body, { success: true, data })

    const changed = await client.patch(`/users/${data.id}`, { name: 'Grace H.', phone: null, locale: 'en' })
    t.equal(changed.status, 200)
    t.same(changed.body.data, { ...data, name: 'Grace H.', phone: null, locale: 'en' })

    const removed = await client.remove(`/users/${data.id}`)
    t.equal(removed.status, 200)
    t.same(removed.body.data, changed.body.data, 'returns the deleted user')
    isProblem(t, await client.get(`/users/${data.id}`), 404, 'user.not_found')
    isProblem(t, await client.patch(`/users/${data.id}`, { name: 'x' }), 404, 'user.not_found')
    isProblem(t, await client.remove(`/users/${data.id}`), 404, 'user.not_found')
  })

  await t.test('omitted fields have defaults', async (t) => {
    t.match(await newUser(client), { phone: null, role: 'user', locale: 'en' })
  })

  await t.test('the locale of a user defaults to the language of the request that creates it', async (t) => {
    const localeIn = async (accept: string, more: object = {}) => {
      const person = { name: 'Ada', email: `${unique('locale')}@example.com`, ...more }
      return (await client.post('/users', person, { 'accept-language': accept })).body.data.locale
    }
    t.same(
      [await localeIn('zh-TW,zh;q=0.9,en;q=0.8'), await localeIn('en-GB'), await localeIn('fr'), await localeIn('*')],
      ['zh-TW', 'en', 'en', 'en'],
    )
    t.equal(await localeIn('zh-TW', { locale: 'en' }), 'en')
  })

  await t.test('an e-mail address is unique, ignoring case', async (t) => {
    const email = `${unique('alan')}@example.com`
    await newUser(client, { email })
    const other = await newUser(client)
    isProblem(t, await client.post('/users', { name: 'Alan', email: email.toUpperCase() }), 409, 'user.email_taken')
    isProblem(t, await client.patch(`/users/${other.id}`, { email: email.toUpperCase() }), 409, 'user.email_taken')

    const contested = `${unique('both')}@example.com`
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        client.post('/users', { name: 'B', email: n % 2 ? contested : contested.toUpperCase() }),
      ),
    )
    t.same(answers.map(({ status }) => status).sort(), [201, 409, 409, 409, 409], 'one of several concurrent requests succeeds')
  })

  await t.test('the response names refused fields', async (t) => {
    const email = `${unique('x')}@example.com`
    const refused = async (body: object, field: string) => {
      const answer = await client.post('/users', body)
      isProblem(t, answer, 400, 'request.invalid')
      t.ok(
        answer.body.errors?.some((error: { field: string; message: string }) => error.field.includes(field) && error.message),
        `${field} in ${JSON.stringify(answer.body.errors)}`,
      )
    }
    await refused({ name: 'X', email, is_admin: true }, '/body/is_admin')
    await refused({ email }, '/body/name')
    await refused({ name: '   ', email }, '/body/name')
    await refused({ name: 'X', email: 'not an address' }, '/body/email')
    await refused({ name: 'X', email, phone: 912345678 }, '/body/phone')
    await refused({ name: 'X', email, phone_country: 'TWN' }, '/body/phone_country')
    await refused({ name: 'X', email, role: 'root' }, '/body/role')
    await refused({ name: 'X', email, locale: 'fr' }, '/body/locale')
    await refused({ name: 7, email }, '/body/name')
    const user = await newUser(client)
    isProblem(t, await client.patch(`/users/${user.id}`, {}), 400, 'request.invalid')
    isProblem(t, await client.patch(`/users/${user.id}`, { id: 1 }), 400, 'request.invalid')
    t.same((await client.get(`/users/${user.id}`)).body.data, user, 'nothing changed')
  })

  await t.test('pages', async (t) => {
    const made = await Promise.all(Array.from({ length: 9 }, () => newUser(client)))
    let late: { id: number } | undefined
    const items = await allPages(client, '/users', 4, async () => {
      late = await newUser(client)
    })
    inTotalOrder(t, items, 'newest first, no duplicates')
    const ids = items.map(({ id }) => id)
    t.ok(
      made.every(({ id }) => ids.includes(id)),
      'all are included',
    )
    t.notOk(ids.includes(late?.id), 'later pages exclude users that were created after the first page')
    t.ok(ids.includes(1))
  })
}
