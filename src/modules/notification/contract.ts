import { type Static, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { Id, Nullable, Timestamp } from '../../platform/schema.ts'
import { notificationErrors } from './errors.ts'

export const Channel = Type.Union([Type.Literal('email'), Type.Literal('sms')])
export type Channel = Static<typeof Channel>

export const NotificationStatus = Type.Union(
  [
    Type.Literal('pending'),
    Type.Literal('sending'),
    Type.Literal('sent'),
    Type.Literal('failed'),
    Type.Literal('uncertain'),
    Type.Literal('skipped'),
    Type.Literal('held'),
    Type.Literal('limited'),
  ],
  {
    description:
      '`failed`: the provider refused; retried with exponential backoff until its event is a dead letter. `uncertain`: after a crash or a lost response it is unknown whether the provider accepted it; sent again with the same key. `skipped`: there is no recipient. `held`: waits until the person has confirmed the address, for up to a week. `limited`: over `MAIL_LIMIT_PER_HOUR` or `SMS_LIMIT_PER_HOUR`, and not sent; `reason` names the limit (`limit.account`, `limit.recipient`), and a retry sends it',
  },
)
export type NotificationStatus = Static<typeof NotificationStatus>

export const Notification = Type.Object(
  {
    id: Id,
    event_id: Type.String({ format: 'uuid', description: "the provider's idempotency key: Message-ID, Idempotency-Key" }),
    event_type: Type.String(),
    channel: Channel,
    order_id: Id,
    user_id: Id,
    status: NotificationStatus,
    attempts: Type.Integer(),
    reason: Nullable(Type.String({ description: 'why it was not sent' })),
    uncertain_at: Nullable(Timestamp),
    sent_at: Nullable(Timestamp),
    created_at: Timestamp,
  },
  { title: 'Notification', description: 'One message to one person over one channel; the address is not stored' },
)
export type Notification = Static<typeof Notification>

export const notificationContract = defineContract({
  name: 'notification',
  port: 5004,
  errors: notificationErrors,
  tags: ['notifications'],
  complianceTags: { notification: ['personal-data'] },
  paths: ['/notifications'],
  ops: {
    /** Messages to one user, newest first, a hundred per page; `next_cursor` if there are more. */
    getNotificationsOf: {
      input: Type.Object({ user_id: Id, cursor: Type.Optional(Type.String({ maxLength: 200 })) }),
      output: Type.Object({ notifications: Type.Array(Notification), next_cursor: Type.Optional(Type.String()) }),
      idempotent: true,
      timeoutMs: 3000,
    },
  },
  events: {
    'notification.retry_requested': Type.Object({ notification_id: Id }),
  },
  apart: { 'notification-account': ['user.activation_requested', 'user.password_reset_requested'] },
  subscribes: [
    'order.created',
    'order.status_changed',
    'order.cancelled',
    'notification.retry_requested',
    'user.deleted',
    'user.email_confirmed',
    'user.activation_requested',
    'user.password_reset_requested',
    'user.email_change_requested',
    'user.email_changed',
    'user.updated',
    'user.password_changed',
    'user.second_factor_enrolled',
    'user.second_factor_removed',
    'user.second_factor_reset',
  ],
})
