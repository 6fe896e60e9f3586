import { invalid } from '../../platform/field-errors.ts'
import { forms } from '../../platform/normal-form.ts'
import { rules } from '../../platform/validation-messages.ts'
import type { Product } from '../product/contract.ts'
import type { OrderItem } from './contract.ts'
import { fail } from './errors.ts'

/** One requested line: product, quantity, and the price that the buyer saw. */
export interface WantedLine {
  readonly product_id?: number
  /** sku or exact name */
  readonly product?: string
  readonly quantity: number
  readonly price?: number
}

/** Fifteen digits: programs that read JSON numbers as doubles (JavaScript, spreadsheets) keep all of them. */
export const maxTotal = 999_999_999_999_999

/** The products to ask the catalogue for. */
export const wantedProducts = (lines: readonly WantedLine[]): { ids: number[]; names: string[] } => ({
  ids: [...new Set(lines.flatMap(({ product_id }) => product_id ?? []))],
  names: [...new Set(lines.flatMap(({ product }) => product ?? []))],
})

const findProduct = ({ product_id, product }: WantedLine, catalogue: readonly Product[]): Product | undefined => {
  if (product_id !== undefined) return catalogue.find(({ id }) => id === product_id)
  const asSku = forms.sku.normal(product ?? '')
  const asName = forms.name.normal(product ?? '')
  const bySku = catalogue.find(({ sku }) => sku === product) ?? catalogue.find(({ sku }) => sku === asSku)
  if (bySku) return bySku
  const named = catalogue.filter(({ name }) => name === product || name === asName)
  const active = named.filter((candidate) => candidate.active)
  const candidates = active.length > 0 ? active : named
  if (candidates.length > 1) throw fail('order.product_ambiguous', { product, product_ids: candidates.map(({ id }) => id) })
  return candidates[0]
}

/**
 * The items of an order: names and prices of the catalogue, one item per product in the order of the lines.
 * @throws request.invalid, product.not_found, order.product_ambiguous, order.product_inactive, order.price_changed,
 * order.mixed_currencies, order.total_too_large, each with the affected lines
 */
export const priceLines = (
  lines: readonly WantedLine[],
  catalogue: readonly Product[],
): { items: OrderItem[]; currency: string } => {
  const unclear = lines.flatMap((line, n) =>
    (line.product_id === undefined) === (line.product === undefined)
      ? [{ field: `/body/items/${n}`, message: rules.oneProduct() }]
      : [],
  )
  if (unclear.length > 0) throw invalid(unclear)

  const found = lines.map((line) => ({ line, product: findProduct(line, catalogue) }))
  const missing = found.filter(({ product }) => !product)
  if (missing.length > 0) {
    throw fail('product.not_found', { lines: missing.map(({ line: { product_id, product } }) => ({ product_id, product })) })
  }
  const matched = found as { line: WantedLine; product: Product }[]

  const inactive = matched.filter(({ product }) => !product.active)
  if (inactive.length > 0) {
    throw fail('order.product_inactive', {
      lines: inactive.map(({ product: { id, name } }) => ({ product_id: id, product: name })),
    })
  }
  const repriced = matched.filter(({ line, product }) => line.price !== undefined && line.price !== product.price)
  if (repriced.length > 0) {
    throw fail('order.price_changed', {
      lines: repriced.map(({ line, product: { id, name, price } }) => ({
        product_id: id,
        product: name,
        requested_price: line.price,
        price,
      })),
    })
  }
  const currencies = [...new Set(matched.map(({ product }) => product.currency))]
  if (currencies.length > 1) throw fail('order.mixed_currencies', { currencies })

  const items = new Map<number, OrderItem>()
  for (const { line, product } of matched) {
    const quantity = (items.get(product.id)?.quantity ?? 0) + line.quantity
    items.set(product.id, { product_id: product.id, product: product.name, quantity, price: product.price })
  }
  const total = [...items.values()].reduce((sum, { quantity, price }) => sum + BigInt(quantity) * BigInt(price), 0n)
  if (total > maxTotal) throw fail('order.total_too_large', { total: total.toString(), maximum: String(maxTotal) })
  return { items: [...items.values()], currency: currencies[0] as string }
}
