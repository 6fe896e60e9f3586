import type { LocalizedText } from '../errors.ts'

/** The one table of what an answer says to a person whose request changed something. The texts are no part of the API. */
export const messages = {
  'user.created': { en: 'User created', 'zh-TW': '使用者建立成功' },
  'user.updated': { en: 'User updated', 'zh-TW': '使用者更新成功' },
  'user.deleted': { en: 'User deleted', 'zh-TW': '使用者刪除成功' },
  'product.created': { en: 'Product created', 'zh-TW': '商品建立成功' },
  'product.updated': { en: 'Product updated', 'zh-TW': '商品更新成功' },
  'product.deleted': { en: 'Product deleted', 'zh-TW': '商品刪除成功' },
  'order.created': { en: 'Order created', 'zh-TW': '訂單建立成功' },
  'order.updated': { en: 'Order status updated', 'zh-TW': '訂單狀態更新成功' },
  'order.cancelled': { en: 'Order cancelled', 'zh-TW': '訂單取消成功' },
  'inventory.set': { en: 'Stock updated', 'zh-TW': '庫存更新成功' },
  'inventory.removed': { en: 'Stock tracking ended', 'zh-TW': '已停止追蹤庫存' },
  'notification.retry_requested': { en: 'The message will be sent again', 'zh-TW': '訊息將重新傳送' },
  'dead_letter.replayed': { en: 'The event will be delivered again', 'zh-TW': '事件將重新遞送' },
  'dead_letters.replayed': { en: 'The events will be delivered again', 'zh-TW': '這些事件將重新遞送' },
  'session.started': { en: 'Signed in', 'zh-TW': '登入成功' },
  'session.refreshed': { en: 'Tokens refreshed', 'zh-TW': '權杖更新成功' },
  'session.reauthenticated': { en: 'Proven', 'zh-TW': '身分驗證成功' },
  'session.ended': { en: 'Signed out', 'zh-TW': '登出成功' },
  'account.activated': { en: 'E-mail address confirmed', 'zh-TW': '電子郵件確認成功' },
  'password.changed': { en: 'Password changed', 'zh-TW': '密碼變更成功' },
  'password.reset_requested': {
    en: 'If there is an account with this address, a mail is on its way',
    'zh-TW': '若此電子郵件已註冊，將收到重設密碼的信件',
  },
  'second_factor.started': { en: 'Confirm the second factor with a code', 'zh-TW': '請以驗證碼確認第二驗證因素' },
  'second_factor.enrolled': { en: 'Second factor enrolled', 'zh-TW': '第二驗證因素設定成功' },
  'second_factor.removed': { en: 'Second factor removed', 'zh-TW': '第二驗證因素移除成功' },
} as const satisfies Record<string, LocalizedText>

export type MessageKey = keyof typeof messages
