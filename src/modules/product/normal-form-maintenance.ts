import type { Logger } from 'pino'
import { type Background, createBackground } from '../../platform/concurrency/background.ts'
import { fold, forms } from '../../platform/normal-form.ts'
import type { UpkeepRepository } from './normal-form-maintenance-repository.ts'

const everyMs = 5000
const batch = 500

export interface NormalFormMaintenanceOptions {
  readonly repository: UpkeepRepository
  readonly log: Logger
}

/** Never longer than before: it must still fit its schema. */
const normalOf = (form: 'name' | 'sku', text: string): string => {
  const normal = forms[form].normal(text)
  return normal === '' || [...normal].length > [...text].length ? text : normal
}

/**
 * Normalizes products that an earlier version wrote, before this one or beside it, and stores the folded texts for the search.
 * Runs every few seconds. Safe to run in several processes.
 */
export const createNormalFormMaintenance = ({ repository, log }: NormalFormMaintenanceOptions): Background => {
  /** Reported once each. */
  const said = new Set<number>()

  /** Every stale product once, with one read and one write statement per batch. */
  const foldStale = async (signal: AbortSignal): Promise<void> => {
    let after = 0
    let folded = 0
    while (!signal.aborted) {
      const rows = await repository.stale(after, batch)
      const last = rows.at(-1)
      if (!last) break
      after = last.id
      const kept = await repository.fold(
        rows.map(({ id, version, sku, name }) => {
          const normal = { sku: normalOf('sku', sku), name: normalOf('name', name) }
          return { id, version, ...normal, name_folded: fold(normal.name), sku_folded: fold(normal.sku) }
        }),
      )
      folded += rows.length
      const news = kept.filter((id) => !said.has(id))
      for (const id of news) said.add(id)
      if (news.length > 0)
        log.warn({ product_ids: news }, 'skus differ from other skus only in their Unicode form: change or delete these products')
    }
    if (folded > 0) log.info({ products: folded }, 'products of an earlier version were indexed for search')
  }

  return createBackground(async (signal) => {
    await foldStale(signal).catch((error) => log.warn({ err: error }, 'product maintenance failed; will retry'))
    return everyMs
  })
}
