import type { LocalizedText } from '../../platform/locales.ts'

/** Success messages for the person whose request changed something. The texts are not part of the API. */
export const messages = {
  'product.created': { en: 'Product created', 'zh-TW': '商品建立成功' },
  'product.updated': { en: 'Product updated', 'zh-TW': '商品更新成功' },
  'product.deleted': { en: 'Product deleted', 'zh-TW': '商品刪除成功' },
} as const satisfies Record<string, LocalizedText>
