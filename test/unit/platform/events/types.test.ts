import { sql } from 'drizzle-orm'
import t from 'tap'
import { Type } from 'typebox'
import { orderContract } from '../../../../src/modules/order/contract.ts'
import { outbox } from '../../../../src/modules/order/tables.ts'
import { productContract } from '../../../../src/modules/product/contract.ts'
import { serviceContext } from '../../../../src/platform/context.ts'
import { defineContract, everyEvent } from '../../../../src/platform/contract.ts'
import { checkedHandlers, type EventHandlers } from '../../../../src/platform/events/consumer.ts'
import { type EventEnvelope, type EventOf, newEvent } from '../../../../src/platform/events/event.ts'
import { appendEvent } from '../../../../src/platform/events/outbox-repository.ts'
import { defineModule } from '../../../../src/platform/module.ts'

const context = serviceContext('order', 1000)
const source = sql`changed`

/** Checked by tsc and never called: `@ts-expect-error` fails the build if the next line compiles. */
const neverCalled = (..._checks: readonly (() => unknown)[]): void => {}

neverCalled(
  () => newEvent(productContract, 'product.created', context, { fields: ['name'] }),
  // @ts-expect-error: no such event
  () => newEvent(productContract, 'product.made', context, {}),
  // @ts-expect-error: another module's event
  () => newEvent(productContract, 'order.created', context),
  // @ts-expect-error: a member of another type
  () => newEvent(productContract, 'product.created', context, { fields: 'name' }),
  // @ts-expect-error: a member that the contract does not have
  () => newEvent(productContract, 'product.created', context, { fields: [], name: 'Lamp' }),
  // @ts-expect-error: not one of the values that the contract allows
  () => newEvent(orderContract, 'order.cancelled', context, { reason: 'whim' }),
)

type Level = EventOf<typeof orderContract, 'inventory.set', 'product_id' | 'available'>
const setLevel = (_event: Level): void => {}
const product_id = sql<number>`source.product_id`
const available = sql<number>`source.available`

neverCalled(
  () => setLevel(newEvent(orderContract, 'inventory.set', context)),
  // @ts-expect-error: the statement is for another event, although its data is the same
  () => setLevel(newEvent(orderContract, 'inventory.removed', context)),
  // @ts-expect-error: the statement adds this member already
  () => setLevel(newEvent(orderContract, 'inventory.set', context, { available: 1 })),
  (event = newEvent(orderContract, 'inventory.set', context)) => appendEvent(outbox, event, source, { product_id, available }),
  // @ts-expect-error: the statement adds nothing
  (event = newEvent(orderContract, 'inventory.set', context)) => appendEvent(outbox, event, source),
  // @ts-expect-error: the statement leaves out a member
  (event = newEvent(orderContract, 'inventory.set', context)) => appendEvent(outbox, event, source, { product_id }),
  (event = newEvent(orderContract, 'inventory.set', context)) =>
    // @ts-expect-error: the statement adds a member that the contract does not have
    appendEvent(outbox, event, source, { product_id, available, name: sql<string>`name` }),
  (event = newEvent(orderContract, 'inventory.set', context)) =>
    // @ts-expect-error: the expression has another type
    appendEvent(outbox, event, source, { product_id, available: sql<string>`source.available` }),
  (event = newEvent(productContract, 'product.created', context, { fields: [] })) => appendEvent(outbox, event, source),
  // @ts-expect-error: neither the event nor the statement has its data
  (event = newEvent(productContract, 'product.created', context)) => appendEvent(outbox, event, source),
)

const base = { name: 'loyalty', port: 5009, paths: ['/points'] } as const
const Points = Type.Object({ points: Type.Integer() })
const contract = defineContract({
  ...base,
  events: { 'points.given': Points, 'points.taken': Points },
  subscribes: ['points.given', 'order.created'],
})
const publishers = [orderContract] as const
const given = async (_event: EventEnvelope<{ points: number }>): Promise<void> => {}
const created = async (_event: EventEnvelope<{ order_id: number; items: readonly object[] }>): Promise<void> => {}
const asks = async (_event: EventEnvelope<{ shipped_at: string }>): Promise<void> => {}
const both = { 'points.given': given, 'order.created': created }

neverCalled(
  () => defineModule({ contract, publishers, create: () => ({ api: {}, handlers: both }) }),
  () =>
    defineModule({
      contract,
      publishers,
      create: async () => ({
        api: {},
        handlers: { ...both, 'order.created': async ({ data }) => void data.items.map(({ price }) => price.toFixed()) },
      }),
    }),
  // @ts-expect-error: no handlers
  () => defineModule({ contract, publishers, create: () => ({ api: {} }) }),
  // @ts-expect-error: a handler is missing
  () => defineModule({ contract, publishers, create: () => ({ api: {}, handlers: { 'points.given': given } }) }),
  // @ts-expect-error: a handler for data that the event does not have
  () => defineModule({ contract, publishers, create: () => ({ api: {}, handlers: { ...both, 'order.created': asks } }) }),
  // @ts-expect-error: a handler for an event that it does not subscribe to
  () => defineModule({ contract, publishers, create: () => ({ api: {}, handlers: { ...both, 'order.cancelled': created } }) }),
  // @ts-expect-error: the same, of its own events
  () => defineModule({ contract, publishers, create: () => ({ api: {}, handlers: { ...both, 'points.taken': given } }) }),
  // @ts-expect-error: none of the `publishers` has one of the events
  () => defineModule({ contract, publishers: [productContract], create: () => ({ api: {}, handlers: both }) }),
  () => defineModule({ contract: defineContract(base), create: () => ({ api: {} }) }),
  // @ts-expect-error: handlers of a module that subscribes to nothing
  () => defineModule({ contract: defineContract(base), create: () => ({ api: {}, handlers: { 'points.given': given } }) }),
  // @ts-expect-error: a separate queue for an event that it does not subscribe to
  () => defineContract({ ...base, subscribes: ['order.created'], apart: { 'loyalty-late': ['order.cancelled'] } }),
)

const event = (data: object): EventEnvelope => ({
  ...newEvent({ events: { 'points.given': Points } }, 'points.given', context),
  aggregate_id: '1',
  version: 1,
  occurred_at: '',
  data: { ...data },
})

t.test("an event's data is validated against its publisher's contract", async (t) => {
  const seen: unknown[] = []
  const handlers = checkedHandlers(contract, [contract, orderContract], {
    'points.given': async ({ data }) => void seen.push(data),
    'order.created': async () => {},
  })
  await handlers['points.given']?.(event({ points: 3 }), context)
  await t.rejects(async () => handlers['points.given']?.(event({ points: 'many' }), context), { code: 'request.invalid' })
  t.same(seen, [{ points: 3 }])
})

t.test('a module with a missing or an extra handler does not start', async (t) => {
  const handle = async () => {}
  const check =
    (handlers: EventHandlers, known = [contract, orderContract]) =>
    () =>
      checkedHandlers(contract, known, handlers)
  t.doesNotThrow(check({ 'points.given': handle, 'order.created': handle }))
  t.throws(check({ 'points.given': handle }), { message: 'loyalty has no handler for order.created' })
  t.throws(check({ 'points.given': handle, 'order.created': handle, 'order.sent': handle }), {
    message: 'loyalty handles order.sent and does not subscribe to it',
  })
  t.throws(check({ 'points.given': handle, 'order.created': handle }, [contract]), {
    message: 'loyalty: no publisher of order.created is known',
  })
  const trail = defineContract({ ...base, subscribes: [everyEvent] })
  t.same(Object.keys(checkedHandlers(trail, [trail], { [everyEvent]: handle })), [everyEvent])
})
