import postgres from 'postgres'
import type { Test } from 'tap'
import type { AuditEntry } from '../src/platform/audit/entry.ts'

/** Reads the audit trail from its database, oldest first; closed when the test ends. */
export const trailReader = (t: Test, databaseUrl: string): (() => Promise<AuditEntry[]>) => {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return async () => [
    ...(await sql<AuditEntry[]>`
      select event_id, timestamp, trace_id, span_id, jsonb_build_object('type', actor_type, 'id', actor_id) as actor,
             jsonb_build_object('type', resource_type, 'id', resource_id, 'version', resource_version) as resource,
             action, decision, policy_version, compliance_tags, details, service, key_id, signature
        from audits.entries order by id`),
  ]
}
