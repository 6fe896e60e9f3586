import { type ErrorTable, failWith } from '../../platform/errors.ts'

/** Errors of the audit module. */
export const auditErrors = {
  'audit.not_found': { status: 404, en: 'There is no such entry.', 'zh-TW': '找不到稽核紀錄。' },
  'audit.not_sealed': { status: 409, en: 'The entry is not sealed yet; try again.', 'zh-TW': '紀錄尚未封存，請再試一次。' },
  'audit.invalid_signature': {
    status: 422,
    en: 'The signature of an entry is invalid.',
    'zh-TW': '紀錄未經其所稱服務有效簽章。',
  },
  'audit.event_taken': {
    status: 409,
    en: 'Another service already recorded an entry for this event.',
    'zh-TW': '其他服務已為此事件留下紀錄。',
  },
  'audit.unavailable': { status: 503, en: 'The audit service is not responding.', 'zh-TW': '稽核服務沒有回應。' },
} as const satisfies ErrorTable

export const fail = failWith(auditErrors)
