#!/usr/bin/env bash
# Runs at the first start: creates a database for each service, to which only the service's own login can connect.
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

# The owner of the trail migrates. The service only has the role that may add entries (drizzle/audit/rights.sql).
database audit audit_owner "$AUDIT_DATABASE_OWNER_PASSWORD"
sql postgres -v password="$AUDIT_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE orderhub_audit_owner NOLOGIN;
CREATE ROLE orderhub_audit NOLOGIN;
GRANT orderhub_audit_owner, orderhub_audit TO audit_owner;
CREATE ROLE audit_service LOGIN PASSWORD :'password' IN ROLE orderhub_audit;
GRANT CONNECT ON DATABASE orderhub_audit TO audit_service;
SQL
