/**
 * What the audit trail records besides changes and denials. A route whose response shows somebody's personal data is added to
 * `reads` with the member of `data` that names the person: reading another person's is an entry (docs/adr/0041). An export is an
 * event.
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
  /** Routes whose body names an account by its e-mail address, with that member: a denial records its keyed hash. */
  accounts: {
    'POST /api/v1/auth/login': 'email',
    'POST /api/v1/auth/password/forgot': 'email',
  } as Readonly<Record<string, string>>,
} as const
