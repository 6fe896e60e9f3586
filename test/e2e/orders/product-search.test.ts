import { pino } from 'pino'
import postgres from 'postgres'
import t from 'tap'
import { migrationTargets, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { productContract } from '../../../src/modules/product/contract.ts'
import { createNormalFormMaintenance } from '../../../src/modules/product/normal-form-maintenance.ts'
import { createNormalFormMaintenanceRepository } from '../../../src/modules/product/normal-form-maintenance-repository.ts'
import { createProductRepository } from '../../../src/modules/product/repository.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { newEvent } from '../../../src/platform/events/event.ts'
import { forms } from '../../../src/platform/normal-form.ts'
import { countStatements } from '../../../testing/counted.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'

t.setTimeout(240_000)
const server = await startOwnPostgres()
t.teardown(() => server.stop())

/** Locales with different collation and case folding; a server may lack some. */
const locales = [
  ['c', `locale_provider libc locale 'C'`],
  ['libc_utf8', `locale_provider libc locale 'C.UTF-8'`],
  ['icu_en', `locale_provider icu icu_locale 'en-US' locale 'C'`],
  ['icu_tr', `locale_provider icu icu_locale 'tr-TR' locale 'C'`],
  ['builtin_utf8', `locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'`],
  ['builtin_unicode', `locale_provider builtin builtin_locale 'PG_UNICODE_FAST' locale 'C'`],
] as const

const context = { actor: { type: 'service', id: 'product' }, traceparent: 'x', policyVersion: '' } as const
const blank = { description: '', price: 1, currency: 'TWD', active: true }

/** The product module's tables in a database of this locale; undefined if the server lacks the locale. */
const openDatabase = async (name: string, locale: string) => {
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  const made = await admin.unsafe(`create database ${name} template template0 encoding 'UTF8' ${locale}`).then(
    () => true,
    () => false,
  )
  await admin.end()
  if (!made) return undefined
  const url = new URL(server.url)
  url.pathname = `/${name}`
  await runMigrations(migrationTargets(readConfig({ SERVICE: 'product', DATABASE_URL: url.href })))
  const database = createDatabase({ url: url.href, max: 3, statementTimeoutMs: 5000, applicationName: 'test' })
  const sql = postgres(url.href, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await database.close()
    await sql.end()
  })
  const { counted, statements } = countStatements(database)
  const products = createProductRepository(counted)
  const search = async (text: string) =>
    (await products.page({ limit: 100, after: undefined }, { search: text })).map(({ sku }) => sku).sort()
  const warned: number[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => warned.push(...(JSON.parse(line).product_ids ?? [])) })
  return {
    sql,
    products,
    search,
    warned,
    upkeep: createNormalFormMaintenance({ repository: createNormalFormMaintenanceRepository(counted), log }),
    statements,
  }
}

const names = { DE: 'ÜBERRASCHUNG Straße', GR: 'ΣΟΦΟΣ', RU: 'ЖУК', TR: 'IRMAK İstanbul', FW: 'Ｗide ﬁn ｶﾞ', ZH: '鍵盤 １２' }
const searches: Readonly<Record<string, readonly string[]>> = {
  überraschung: ['DE'],
  'u\u0308berRASCHUNG strasse': ['DE'],
  uberraschung: [],
  σοφοσ: ['GR'],
  Σοφος: ['GR'],
  жук: ['RU'],
  irmak: ['TR'],
  IRMAK: ['TR'],
  wide: ['FW'],
  ｗｉｄｅ: ['FW'],
  'fin ガ': ['FW'],
  'ﬁN\u3000ｶﾞ': ['FW'],
  '鍵盤 12': ['ZH'],
  '%': [],
  _: [],
}

t.test('a search finds the same products with any locale of the database', async (t) => {
  let tried = 0
  for (const [name, locale] of locales) {
    const opened = await openDatabase(`search_${name}`, locale)
    if (!opened) {
      t.comment(`this server has no ${name}`)
      continue
    }
    tried += 1
    const { sql, products, search } = opened
    for (const [sku, text] of Object.entries(names))
      await products.insert({ ...blank, sku, name: text }, newEvent(productContract, 'product.created', context, { fields: [] }))
    const found: Record<string, string[]> = {}
    for (const text of Object.keys(searches)) found[text] = await search(text)
    t.same(found, searches, name)
    const [plan] = await sql`select count(*)::int as n from products.products where folded_version is distinct from version`
    t.equal(plan?.n, 0, 'no folded text is stale')
  }
  t.ok(tried >= 3, `${tried} locales`)
})

t.test('products of an earlier version are normalized in batches', async (t) => {
  const opened = await openDatabase('upkeep', locales[0][1])
  if (!opened) throw new Error('no database')
  const { sql, products, search, warned, upkeep, statements } = opened
  const count = 1203
  await sql`insert into products.products (sku, name, price) select 'OLD-' || n, normalize('Crème ÉTÉ ' || n, NFD), 1 from generate_series(1, ${count}) n`
  const forms3 = ['é'.normalize('NFD'), 'é'.normalize('NFC'), 'Ｘ', 'X']
  for (const sku of forms3) await sql`insert into products.products (sku, name, price) values (${sku}, 'Twice', 1)`
  t.same(await search('OLD-77'), await search('old-77'), 'found before it is folded, by the case rules of the database')
  const before = statements()
  upkeep.start()
  await eventually(
    async () => (await sql`select from products.products where folded_version is distinct from version`).length === 0,
  )
  await upkeep.close()
  t.ok(statements() - before <= 2 * Math.ceil((count + 4) / 500) + 2, `${statements() - before} statements`)
  t.equal((await search('crème été 1203')).length, 1)
  const [one] = await products.find([], ['Crème ÉTÉ 5'])
  t.equal(one?.name, 'Crème ÉTÉ 5'.normalize('NFC'))
  t.equal(warned.length, 2, 'of two SKUs that normalize to the same, one is kept unchanged and logged')
  const skus = (await sql`select id, sku from products.products where name = 'Twice' order by id`).map(({ sku }) => sku)
  t.equal(new Set(skus).size, 4)
  t.ok(skus.includes('é'.normalize('NFC')) && skus.includes('X'))

  await sql`update products.products set name = 'Renamed', version = version + 1 where sku = 'OLD-1'`
  t.same(await search('renamed'), ['OLD-1'], 'a product that an earlier version changes is still found')
  const [row] = await sql`select id, version from products.products where sku = 'OLD-1'`
  const changed = await products.update(
    row?.id,
    { sku: forms.sku.normal('ＮＥＷ') },
    newEvent(productContract, 'product.updated', context, { fields: ['sku'] }),
  )
  t.match(changed, { outcome: 'updated', product: { sku: 'NEW', name: 'Renamed' } })
  t.same([await search('renamed'), await search('new')], [['NEW'], ['NEW']], 'a stale product is still found after an update')
})
