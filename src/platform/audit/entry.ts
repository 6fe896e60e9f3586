import { sign, verify } from 'node:crypto'
import canonicalize from 'canonicalize'
import { traceIdOf } from '../context.ts'
import type { EventEnvelope } from '../events/event.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { AuditEntry } from './schema.ts'

export { AuditEntry }

/** The signed bytes: RFC 8785 (JSON canonicalization) of the entry without its signature. */
export const signedBytes = ({ signature: _, ...entry }: Omit<AuditEntry, 'signature'> & { signature?: string }): Buffer =>
  Buffer.from(canonicalize(entry) as string)

export const signEntry = (
  keys: KeyStore,
  service: string,
  entry: Omit<AuditEntry, 'service' | 'key_id' | 'signature'>,
): AuditEntry => {
  const { kid, key } = keys.signer(`audit-entry-${service}`)
  const unsigned = { ...entry, service, key_id: kid }
  return { ...unsigned, signature: sign(null, signedBytes(unsigned), key).toString('base64') }
}

/** Whether the service that an entry names signed it; `unknown_key` if the key is not known here yet. */
export type Verdict = 'signed' | 'forged' | 'unknown_key'

export const judge = (keys: Pick<KeyStore, 'verifier'>, entry: AuditEntry): Verdict => {
  const key = keys.verifier(`audit-entry-${entry.service}`, entry.key_id)
  if (key === undefined) return 'unknown_key'
  return verify(null, signedBytes(entry), key, Buffer.from(entry.signature, 'base64')) ? 'signed' : 'forged'
}

export const isSigned = (keys: Pick<KeyStore, 'verifier'>, entry: AuditEntry): boolean => judge(keys, entry) === 'signed'

/** Regulations that apply to a change, by the type of the changed resource. */
export type ComplianceTags = Readonly<Record<string, readonly string[]>>

/** The audit entry of a committed change, signed by the service that made it. The same event gives the same entry. */
export const entryOf = (keys: KeyStore, service: string, event: EventEnvelope, complianceTags: ComplianceTags): AuditEntry => {
  const [type = ''] = event.type.split('.')
  return signEntry(keys, service, {
    event_id: event.id,
    timestamp: event.occurred_at,
    trace_id: traceIdOf(event.traceparent),
    span_id: event.traceparent.slice(36, 52),
    actor: { type: event.actor.type, id: event.actor.id },
    resource: { type, id: event.aggregate_id, version: event.version },
    action: event.type,
    decision: 'approved',
    policy_version: event.policy_version,
    compliance_tags: [...(complianceTags[type] ?? [])],
    details: event.data,
  })
}
