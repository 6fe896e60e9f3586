import { createHash } from 'node:crypto'
import { type CallContext, ownerOf } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import { Failure } from '../../platform/errors.ts'
import { newEvent } from '../../platform/events/event.ts'
import { invalid } from '../../platform/field-errors.ts'
import { type Page, type PageRequest, pageOf, pageRequest } from '../../platform/page.ts'
import { rules } from '../../platform/validation-messages.ts'
import type { productContract } from '../product/contract.ts'
import type { User, userContract } from '../user/contract.ts'
import { type Order, type OrderItem, OrderStatus, type OwnOrder, orderContract } from './contract.ts'
import { fail } from './errors.ts'
import type { NewOrder, OutOfStockProduct } from './place-orders.sql.ts'
import { priceLines, type WantedLine, wantedProducts } from './pricing.ts'
import type { OrderFilter, OrderRepository, StoredOrder } from './repository.ts'

export interface OrderRequest {
  /** Default: the signed-in person. */
  readonly user_id?: number
  readonly items: readonly WantedLine[]
}

export interface OrderServiceOptions {
  readonly repository: OrderRepository
  readonly users: Pick<Api<typeof userContract>, 'getUser' | 'getUsers'>
  readonly products: Pick<Api<typeof productContract>, 'getProducts'>
  readonly limits: OrderLimits
}

/** Limits for people who order for themselves; staff and programs are not limited. 0: no limit. */
export interface OrderLimits {
  /** Pending orders per person. */
  readonly pending: number
  /** Pieces of one product per order. */
  readonly quantity: number
}

/** A concurrent order of the same person can take the slot that this one chose. */
const placingTries = 10

export type OrderService = ReturnType<typeof createOrderService>

/** From which states an order can reach a state. */
const allowedFrom: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  pending: [],
  processing: ['pending'],
  completed: ['processing'],
  cancelled: ['pending', 'processing'],
}

const goesTo = (status: OrderStatus): OrderStatus[] =>
  OrderStatus.anyOf.map(({ const: to }) => to).filter((to) => allowedFrom[to].includes(status))

const fingerprintOf = (user_id: number, items: readonly WantedLine[]): string =>
  createHash('sha256')
    .update(
      JSON.stringify([user_id, items.map(({ product_id, product, quantity, price }) => [product_id, product, quantity, price])]),
    )
    .digest('hex')

/** @throws auth.forbidden for another person if the caller may only act for themselves, request.invalid if there is no person */
const buyerOf = ({ user_id }: OrderRequest, { scope, actor }: CallContext): number => {
  const self = ownerOf({ scope: 'own', actor }) || undefined
  if (scope === 'own' && user_id !== undefined && user_id !== self) throw fail('auth.forbidden')
  const buyer = user_id ?? self
  if (buyer === undefined) throw invalid([{ field: '/body/user_id', message: rules.required() }])
  return buyer
}

const withUser = (order: StoredOrder, user: User | undefined): Order => ({
  ...order,
  user: user ? { id: user.id, name: user.name, email: user.email } : null,
})

export const createOrderService = ({ repository, users, products, limits }: OrderServiceOptions) => {
  /** The orders with their users, in one call. Reading continues without the users if that call fails. */
  const withUsers = async (orders: readonly StoredOrder[], context: CallContext): Promise<Order[]> => {
    const ids = [...new Set(orders.map(({ user_id }) => user_id))]
    const found =
      ids.length === 0
        ? []
        : await users.getUsers({ ids }, context).catch((error) => (error instanceof Failure ? [] : Promise.reject(error)))
    const byId = new Map(found.map((user) => [user.id, user]))
    return orders.map((order) => withUser(order, byId.get(order.user_id)))
  }

  const readOne = async (order: StoredOrder, context: CallContext): Promise<Order> => {
    const [one] = await withUsers([order], context)
    return one as Order
  }

  const replay = async (userId: number, key: string, fingerprint: string, context: CallContext) => {
    const known = await repository.byKey(userId, key)
    if (!known) return undefined
    if (known.fingerprint !== fingerprint) throw fail('order.idempotency_key_reused')
    return { outcome: 'replayed', order: await readOne(known.order, context) } as const
  }

  const outOfStock = ({ items }: NewOrder, products: readonly OutOfStockProduct[]) =>
    fail('order.out_of_stock', {
      lines: products.map(({ product_id, available }) => {
        const item = items.find((candidate) => candidate.product_id === product_id)
        return { product_id, product: item?.product, requested: item?.quantity, available }
      }),
    })

  /** @throws order.quantity_too_large */
  const checkQuantities = (items: readonly OrderItem[]): void => {
    const large = items.filter(({ quantity }) => quantity > limits.quantity)
    if (large.length === 0) return
    const lines = large.map(({ product_id, product, quantity }) => ({ product_id, product, requested: quantity }))
    throw fail('order.quantity_too_large', { lines, maximum: limits.quantity })
  }

  /**
   * One transition of an order. If the order already has the status, returns it: a client that repeats a request after a lost
   * response gets its result. @throws order.not_found, order.invalid_transition
   */
  const setStatus = async (id: number, to: OrderStatus, context: CallContext): Promise<Order> => {
    const event = newEvent(orderContract, to === 'cancelled' ? 'order.cancelled' : 'order.status_changed', context)
    const owner = ownerOf(context)
    const transition = await repository.transition(id, allowedFrom[to], to, event, owner)
    const order = transition.outcome === 'changed' ? transition.order : await repository.byId(id, owner)
    if (!order) throw fail('order.not_found', { id })
    const { status } = order
    if (status === to) return readOne(order, context)
    // The order has changed since the statement ran.
    if (allowedFrom[to].includes(status)) return setStatus(id, to, context)
    throw fail('order.invalid_transition', { id, from: status, to, allowed: goesTo(status) })
  }

  return {
    /** Places an order, or returns the existing order with this user's `key`. */
    create: async (
      request: OrderRequest,
      key: string | undefined,
      context: CallContext,
    ): Promise<{ outcome: 'placed' | 'replayed'; order: Order }> => {
      const buyer = buyerOf(request, context)
      const fingerprint = fingerprintOf(buyer, request.items)
      const known = key === undefined ? undefined : await replay(buyer, key, fingerprint, context)
      if (known) return known

      const [user, catalogue] = await Promise.all([
        users.getUser({ id: buyer }, context),
        products.getProducts(wantedProducts(request.items), context),
      ])
      const { items, currency } = priceLines(request.items, catalogue)
      const own = context.scope === 'own'
      if (own && limits.quantity > 0) checkQuantities(items)
      const wanted: NewOrder = {
        user_id: user.id,
        currency,
        items,
        key: key ?? null,
        fingerprint,
        event: newEvent(orderContract, 'order.created', context),
        most: own && limits.pending > 0 ? limits.pending : null,
      }
      for (let attempt = 0; attempt < placingTries; attempt++) {
        const placement = await repository.place(wanted)
        if (placement.outcome === 'placed') {
          const { id, total, created_at } = placement
          return {
            outcome: 'placed',
            order: withUser({ id, user_id: user.id, items, total, currency, status: 'pending', created_at }, user),
          }
        }
        // Out of stock or not: if a concurrent request with this key was faster, return its order.
        const raced = key === undefined ? undefined : await replay(buyer, key, fingerprint, context)
        if (raced) return raced
        if (placement.outcome === 'out_of_stock') throw outOfStock(wanted, placement.products)
        if (placement.outcome === 'full') throw fail('order.too_many_pending', { maximum: limits.pending })
      }
      throw fail('database.busy')
    },

    get: async (id: number, context: CallContext): Promise<Order> => {
      const order = await repository.byId(id, ownerOf(context))
      if (!order) throw fail('order.not_found', { id })
      return readOne(order, context)
    },

    list: async (page: PageRequest, filter: OrderFilter, context: CallContext): Promise<Page<Order>> => {
      const { items, next } = pageOf(await repository.page(page, filter, ownerOf(context)), page.limit, ({ created_at, id }) => ({
        at: created_at,
        id,
      }))
      return { items: await withUsers(items, context), ...(next === undefined ? {} : { next }) }
    },

    /** One user's orders for that user: a page of maximum length. */
    listOf: async (userId: number, cursor: string | undefined): Promise<{ orders: OwnOrder[]; next_cursor?: string }> => {
      const page = pageRequest({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })
      const { items, next } = pageOf(await repository.page(page, {}, userId), page.limit, ({ created_at, id }) => ({
        at: created_at,
        id,
      }))
      return { orders: items, ...(next === undefined ? {} : { next_cursor: next }) }
    },

    setStatus,
  }
}
