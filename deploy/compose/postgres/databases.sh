#!/usr/bin/env bash
# At the first start: a database for each service, which its own login alone may enter.
set -euo pipefail

sql() { psql -v ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname "$1" "${@:2}"; }

# database NAME OWNER PASSWORD
database() {
  sql postgres -v name="orderhub_$1" -v owner="$2" -v password="$3" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

database user user_service "$USER_DATABASE_PASSWORD"
database order order_service "$ORDER_DATABASE_PASSWORD"
database product product_service "$PRODUCT_DATABASE_PASSWORD"
database notification notification_service "$NOTIFICATION_DATABASE_PASSWORD"

# The trail's owner migrates; the service is a member of the role that may add to it and nothing else (drizzle/audit/rights.sql).
database audit audit_owner "$AUDIT_DATABASE_OWNER_PASSWORD"
sql postgres -v password="$AUDIT_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE orderhub_audit_owner NOLOGIN;
CREATE ROLE orderhub_audit NOLOGIN;
GRANT orderhub_audit_owner, orderhub_audit TO audit_owner;
CREATE ROLE audit_service LOGIN PASSWORD :'password' IN ROLE orderhub_audit;
GRANT CONNECT ON DATABASE orderhub_audit TO audit_service;
SQL
