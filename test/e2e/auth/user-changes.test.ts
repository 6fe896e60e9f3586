import postgres from 'postgres'
import t from 'tap'
import { createPersonalData } from '../../../src/modules/user/personal-data.ts'
import { createUserRepository } from '../../../src/modules/user/repository.ts'
import type { UserChanges } from '../../../src/modules/user/update-repository.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import type { EventContext } from '../../../src/platform/events/event.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { newPerson } from '../../../testing/accounts.ts'
import { call, runApp } from '../../../testing/app.ts'
import { countStatements } from '../../../testing/counted.ts'

// Long enough for a busy machine: the test is the number of statements, not the time.
t.setTimeout(300_000)
const run = await runApp(t, { REQUEST_TIMEOUT_MS: '240000' })
const context: EventContext = { actor: { type: 'service', id: 'user' }, traceparent: 'x', policyVersion: '' }
const changer = { vouched: true, reauthenticated: false }

/** Another process of the service: its user repository with its own connections, and the number of its statements. */
const process = () => {
  const database = createDatabase({ url: run.databaseUrl, max: 10, statementTimeoutMs: 5000, applicationName: 'test' })
  t.teardown(() => database.close())
  const { counted, statements } = countStatements(database)
  const users = createUserRepository(counted, createPersonalData(createKeyStore({ folder: run.keysDir, strict: false })))
  return {
    update: (id: number, changes: UserChanges, waitMs = 240_000) =>
      users.update(id, changes, changer, context, Date.now() + waitMs),
    read: async (id: number) => (await users.byIds([id]))[0],
    statements,
  }
}

t.test("200 concurrent changes of one user: all succeed, each keeps the others' changes", async (t) => {
  const { id } = await newPerson(run)
  const change = (n: number) => (n % 2 ? { name: `Ada ${n}` } : { locale: n % 4 ? 'en' : 'zh-TW' })
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => run.api(`/users/${id}`, 'PATCH', change(n))))
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
  for (const [n, { body }] of answers.entries()) t.match(body.data, change(n))
  const [last] = answers.slice(-1)
  t.match((await call(`${run.url}/api/v1/users/${id}`)).body.data, { name: 'Ada 199', locale: last?.body.data.locale })
  const sql = postgres(run.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  t.match(await sql`select version from users.users where id = ${id}`, [{ version: 201 }])
})

t.test('the number of statements is linear in the number of changes', async (t) => {
  const { id } = await newPerson(run)
  for (const count of [1, 50, 200]) {
    const { update, statements } = process()
    await Promise.all(Array.from({ length: count }, (_, n) => update(id, { name: `Ada ${n}` })))
    t.equal(statements(), 2 * count, `${count} changes`)
  }
})

t.test('several processes at once: attempts are bounded, each change is made or refused, none is lost', async (t) => {
  const { id } = await newPerson(run)
  const processes = [process(), process(), process(), process()]
  const perProcess = 40
  const results = await Promise.all(
    processes.flatMap(({ update }, p) =>
      Array.from({ length: perProcess }, async (_, n) => {
        const name = `Ada ${p} ${n}`
        const result = await update(id, { name })
        if (result.outcome === 'updated') t.equal(result.user.name, name)
        return result
      }),
    ),
  )
  const made = results.filter(({ outcome }) => outcome === 'updated').length
  t.equal(made + results.filter(({ outcome }) => outcome === 'contended').length, results.length)
  t.ok(made >= perProcess, `${made} of ${results.length} were made`)
  const sql = postgres(run.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  t.match(await sql`select version from users.users where id = ${id}`, [{ version: made + 1 }], 'one version for each change')
  for (const { statements } of processes) t.ok(statements() <= 2 * 8 * perProcess, `${statements()} statements`)
})

t.test('a change that waits too long, or behind too many, is refused with database.busy', async (t) => {
  const { id } = await newPerson(run)
  const { update, read } = process()
  await t.rejects(update(id, { name: 'Late' }, -1), { code: 'database.busy' })
  const results = await Promise.allSettled(Array.from({ length: 510 }, (_, n) => update(id, { name: `Ada ${n}` })))
  t.equal(results.filter(({ status }) => status === 'rejected').length, 9)
  t.match(await read(id), { name: 'Ada 500' }, 'other changes of the same user still succeed')
  t.match(await update(id, { name: 'Grace' }), { outcome: 'updated', user: { name: 'Grace' } })
})
