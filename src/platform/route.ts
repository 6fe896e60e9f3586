import { type TSchema, Type } from 'typebox'
import type { Contract } from './contract.ts'
import type { Page } from './page.ts'

/** The response of a route with one result. */
export const One = <S extends TSchema>(data: S) =>
  Type.Object({ success: Type.Literal(true), data, message: Type.Optional(Type.String()) })

/** The response of a list. */
export const Many = <S extends TSchema>(item: S) =>
  Type.Object({
    success: Type.Literal(true),
    data: Type.Array(item),
    count: Type.Integer({ description: 'items in this page' }),
    next_cursor: Type.Optional(Type.String({ description: 'present if there are more: pass it as cursor' })),
  })

/** The body of `One`; the message is added by the route's config. */
export const dataReply = <T>(data: T) => ({ success: true as const, data })

/** The body of `Many`. */
export const pageReply = <T>({ items, next }: Page<T>) => ({
  ...dataReply(items),
  count: items.length,
  ...(next === undefined ? {} : { next_cursor: next }),
})

/** Names and summaries of a module's routes in the OpenAPI document, under one of its tags. */
export const operationsOf =
  <T extends string>(_contract: Pick<Contract<never, never, never, never, T>, 'tags'>, tag: NoInfer<T>) =>
  (operationId: string, summary: string) => ({ operationId, summary, tags: [tag] })
