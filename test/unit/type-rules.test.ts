import t, { type Test } from 'tap'
import { findAlwaysTrue } from '../../testing/always-true.ts'
import { root } from '../../testing/source.ts'
import { openProject } from '../../testing/type-checker.ts'
import { findUnannouncedEvents } from '../../testing/unannounced-events.ts'

const project = openProject(root)
t.teardown(() => project.close())
t.ok(project.files.length > 500, `${project.files.length} files`)

t.test('no condition is an object, which is always true', async (t) => {
  t.same(findAlwaysTrue(project), [], 'compare `outcome` (docs/adr/0057), or await the promise')
})

/** A project of this one file. */
const openSample = (t: Test, text: string) => {
  const compilerOptions = { strict: true, target: 'es2024', module: 'nodenext', types: [] }
  const folder = t.testdir({ 'tsconfig.json': JSON.stringify({ compilerOptions }), 'sample.ts': text })
  const sample = openProject(folder)
  t.teardown(() => sample.close())
  return sample
}

const conditions = `
type Reset = { readonly outcome: 'reset'; readonly email: string } | { readonly outcome: 'not_found' }
declare const reset: () => Promise<Reset>
declare const find: () => Promise<Reset | undefined>
declare const some: () => boolean
export const all = async () => {
  if (await reset()) return 1
  const done = await reset()
  if (!done) return 2
  if (reset()) return 3
  if (some()) return done && 4
  for (; done; ) return done ? 5 : 6
  return 7
}
export const none = async () => {
  const { outcome } = await reset()
  if (outcome === 'reset' || some() || (await find())) return 1
  return (await find())?.outcome ? 2 : 3
}
`

t.test('it finds an outcome and a promise as a condition, and nothing else', async (t) => {
  t.same(findAlwaysTrue(openSample(t, conditions)), [
    'sample.ts:7 await reset() is Reset',
    'sample.ts:9 done is Reset',
    'sample.ts:10 reset() is Promise<Reset>',
    'sample.ts:11 done is Reset',
    'sample.ts:12 done is Reset',
    'sample.ts:12 done is Reset',
  ])
})

t.test('a statement that appends events runs with db.write', async (t) => {
  t.same(findUnannouncedEvents(project), [], 'db.write wakes the relay after the commit (docs/adr/0055)')
})

const statements = `
interface Database { run(statement: object): void; prepare(statement: object): void; write(statement: object): void }
declare const sql: (texts: TemplateStringsArray, ...values: unknown[]) => object
declare const appendEvent: (event: object) => object
declare const outbox: object
declare const stock: object
const event = (): object => sql\`event as (\${appendEvent({})})\`
const events = { all: () => sql\`with \${event()}\` }
const change = (db: Database, statement: object) => db.write(sql\`with \${statement}, \${event()}\`)
export const all = (db: Database) => {
  db.run(sql\`with \${appendEvent({})}\`)
  db.run(sql\`with \${event()} select 1\`)
  const statement = sql\`\${events.all()}\`
  db.prepare(statement)
  db.run(sql\`insert into \${stock} default values; insert into \${outbox} default values\`)
}
export const none = (db: Database, given: object) => {
  db.write(sql\`with \${event()} select 1\`)
  db.run(sql\`with \${given} insert into \${stock} select from \${outbox}\`)
  db.run({ change })
}
`

t.test('it finds such a statement wherever its event is defined', async (t) => {
  const found = ['11 db.run()', '12 db.run()', '14 db.prepare()', '15 db.run()'].map((place) => `sample.ts:${place}`)
  t.same(findUnannouncedEvents(openSample(t, statements)), found)
})
