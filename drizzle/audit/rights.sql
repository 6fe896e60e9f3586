-- Runs after the migrations, each time: sets the owner of the trail and the privileges of the service. Roles belong to the whole
-- cluster, so the migration of another database may create them concurrently.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['orderhub_audit_owner', 'orderhub_audit'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
    END IF;
    -- A login with CREATEROLE that is not a superuser must be a member of the role to give it its tables. Since PostgreSQL 16, it is a
    -- member of the roles that it creates, but without the SET option.
    IF NOT pg_has_role(current_user, wanted, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
    END IF;
  END LOOP;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO orderhub_audit_owner', current_database());
END $$;

DO $$
DECLARE
  owned record;
BEGIN
  ALTER SCHEMA audits OWNER TO orderhub_audit_owner;
  FOR owned IN
    SELECT c.oid::regclass AS name FROM pg_class c
     WHERE c.relnamespace = 'audits'::regnamespace AND c.relkind IN ('r', 'p') AND c.relowner <> 'orderhub_audit_owner'::regrole
  LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO orderhub_audit_owner', owned.name);
  END LOOP;
END $$;
ALTER FUNCTION audits.refuse_change() OWNER TO orderhub_audit_owner;
ALTER FUNCTION audits.make_partitions(integer) OWNER TO orderhub_audit_owner;
ALTER FUNCTION audits.take_event_id() OWNER TO orderhub_audit_owner;

REVOKE ALL ON ALL TABLES IN SCHEMA audits FROM PUBLIC, orderhub_audit;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA audits FROM PUBLIC, orderhub_audit;
REVOKE ALL ON FUNCTION audits.refuse_change(), audits.make_partitions(integer), audits.take_event_id() FROM PUBLIC;

GRANT USAGE ON SCHEMA audits TO orderhub_audit;
GRANT EXECUTE ON FUNCTION audits.make_partitions(integer) TO orderhub_audit;
GRANT SELECT,
  INSERT (event_id, "timestamp", trace_id, span_id, actor_type, actor_id, resource_type, resource_id, resource_version, action,
          decision, policy_version, compliance_tags, details, service, key_id, signature)
  ON audits.entries TO orderhub_audit;
GRANT SELECT, INSERT ON audits.seals, audits.nodes, audits.anchored TO orderhub_audit;
GRANT SELECT ON audits.event_ids TO orderhub_audit;
GRANT SELECT, INSERT (size, note) ON audits.checkpoints TO orderhub_audit;
GRANT SELECT, INSERT, DELETE ON audits.pending, audits.inbox, audits.parked TO orderhub_audit;
GRANT SELECT, INSERT, UPDATE, DELETE ON audits.outbox, audits.dead_letters TO orderhub_audit;
GRANT SELECT, INSERT, UPDATE ON audits.subscriptions TO orderhub_audit;
-- The service checks whether the migrations are up to date.
GRANT USAGE ON SCHEMA orderhub_migrations TO orderhub_audit;
GRANT SELECT ON orderhub_migrations.audit TO orderhub_audit;
