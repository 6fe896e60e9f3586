import { type ErrorTable, failWith } from '../../platform/errors.ts'

/** Errors of the notification module. */
export const notificationErrors = {
  'notification.not_found': { status: 404, en: 'There is no such notification.', 'zh-TW': '找不到通知。' },
  'notification.not_retryable': {
    status: 409,
    en: 'Only a message that was not sent can be retried.',
    'zh-TW': '只有未送出的訊息可以重試。',
  },
  'notification.unavailable': { status: 503, en: 'The notification service is not responding.', 'zh-TW': '通知服務沒有回應。' },
} as const satisfies ErrorTable

export const fail = failWith(notificationErrors)
