import { type Static, Type } from 'typebox'
import { Nullable, Timestamp } from '../schema.ts'

/** What somebody did, or was denied, to one resource. No personal data. */
export const AuditEntry = Type.Object(
  {
    /** The event's id (uuid v7), or a denial's or a read's own id: an event has exactly one entry. */
    event_id: Type.String({ format: 'uuid' }),
    timestamp: Timestamp,
    trace_id: Type.String(),
    span_id: Type.String(),
    actor: Type.Object({ type: Type.String(), id: Nullable(Type.String()) }),
    resource: Type.Object({ type: Type.String(), id: Nullable(Type.String()), version: Nullable(Type.Integer()) }),
    action: Type.String({
      description: 'an event type, as in order.created; what was refused, as in `POST /api/v1/products`; or personal_data.read',
    }),
    decision: Type.Union([Type.Literal('approved'), Type.Literal('denied')]),
    policy_version: Type.String(),
    compliance_tags: Type.Array(Type.String()),
    details: Type.Record(Type.String(), Type.Unknown()),
    service: Type.String({ description: 'which service says so, and signed it' }),
    key_id: Type.String({ description: "which of the service's keys signed it" }),
    signature: Type.String({ description: 'Ed25519 (RFC 8032) over the RFC 8785 form of all other members, base64' }),
  },
  { title: 'AuditEntry' },
)
export type AuditEntry = Static<typeof AuditEntry>
