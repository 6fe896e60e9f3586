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
     * Records denials and reads of the calling service, signed by it. An existing entry is left as it is. An entry with an
     * unknown key waits for the key.
     * @throws auth.forbidden if an entry names another service; audit.invalid_signature if one is not signed by the service that
     * it names; audit.event_taken if another service has an entry of its event. The other entries are recorded
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
