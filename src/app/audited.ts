/**
 * What is on the audit trail beside changes and refusals. A route whose answer shows somebody's personal data is added to
 * `reads` with the member of `data` that says whose: reading another's is an entry (docs/adr/0041). An export is an event.
 */
export const audited = {
  reads: {
    'GET /api/v1/users': 'id',
    'GET /api/v1/users/:id': 'id',
    'GET /api/v1/orders': 'user_id',
    'GET /api/v1/orders/:id': 'user_id',
    'GET /api/v1/notifications': 'user_id',
    'GET /api/v1/notifications/:id': 'user_id',
  } as Readonly<Record<string, string>>,
  /** Routes whose body names an account by its e-mail address, with the member that does: a refusal says which by a hash. */
  accounts: {
    'POST /api/v1/auth/login': 'email',
    'POST /api/v1/auth/password/forgot': 'email',
  } as Readonly<Record<string, string>>,
} as const
