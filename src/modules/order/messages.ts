import type { LocalizedText } from '../../platform/locales.ts'

/** Success messages for the person whose request changed something. The texts are not part of the API. */
export const messages = {
  'order.created': { en: 'Order created', 'zh-TW': '訂單建立成功' },
  'order.updated': { en: 'Order status updated', 'zh-TW': '訂單狀態更新成功' },
  'order.cancelled': { en: 'Order cancelled', 'zh-TW': '訂單取消成功' },
  'inventory.set': { en: 'Stock updated', 'zh-TW': '庫存更新成功' },
  'inventory.removed': { en: 'Stock tracking ended', 'zh-TW': '已停止追蹤庫存' },
} as const satisfies Record<string, LocalizedText>
