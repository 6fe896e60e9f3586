import { Type } from 'typebox'
import { AuditEntry } from '../../platform/audit/schema.ts'
import { defineContract, everyEvent } from '../../platform/contract.ts'

export const auditContract = defineContract({
  name: 'audit',
  paths: ['/audit'],
  ops: {
    /**
     * Refusals, signed by the service that refused; an entry that is there already is left alone.
     * @throws audit.invalid_signature when one is not signed so; the others are recorded
     */
    record: {
      input: Type.Object({ entries: Type.Array(AuditEntry, { maxItems: 500 }) }),
      output: Type.Object({ recorded: Type.Integer({ description: 'how many were not there before' }) }),
      idempotent: true,
      timeoutMs: 5000,
    },
  },
  subscribes: [everyEvent],
})
