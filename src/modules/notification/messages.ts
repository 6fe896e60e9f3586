import type { LocalizedText } from '../../platform/locales.ts'

/** Success messages for the person whose request changed something. The texts are not part of the API. */
export const messages = {
  'notification.retry_requested': { en: 'The message will be sent again', 'zh-TW': '訊息將重新傳送' },
} as const satisfies Record<string, LocalizedText>
