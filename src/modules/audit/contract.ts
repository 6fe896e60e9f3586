import { Type } from 'typebox'
import { AuditEntry } from '../../platform/audit/schema.ts'
import { defineContract, everyEvent } from '../../platform/contract.ts'
import { auditErrors } from './errors.ts'

export const auditContract = defineContract({
  name: 'audit',
  port: 5005,
  errors: auditErrors,
  tags: ['audit'],
  paths: ['/audit'],
  ops: {
    /**
     * What the calling service refused or showed, signed by it; an entry that is there already is left alone, and one whose
     * key is not known here yet waits for it.
     * @throws auth.forbidden when one names another service; audit.invalid_signature when one is not signed by the service
     *   that it names, audit.event_taken when another service has an entry of its event: the others are recorded
     */
    record: {
      input: Type.Object({ entries: Type.Array(AuditEntry, { maxItems: 500 }) }),
      output: Type.Object({ recorded: Type.Integer({ description: 'how many were not there before' }) }),
      idempotent: true,
      timeoutMs: 5000,
      forEveryProcess: true,
    },
  },
  subscribes: [everyEvent],
})
