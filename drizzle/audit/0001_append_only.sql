-- What tables.ts cannot express: the entries become a table with monthly partitions, and rows cannot be changed.
-- No statement removes a partition: entries must be kept for at least five years.
ALTER TABLE audits.entries RENAME TO entries_plain;--> statement-breakpoint
CREATE TABLE audits.entries (LIKE audits.entries_plain INCLUDING ALL) PARTITION BY RANGE (recorded_at);--> statement-breakpoint
DROP TABLE audits.entries_plain;--> statement-breakpoint
ALTER SEQUENCE audits.entries_id_seq1 RENAME TO entries_id_seq;--> statement-breakpoint
CREATE FUNCTION audits.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audits.entries FOR EACH ROW EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.entries FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audits.seals FOR EACH ROW EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.seals FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audits.nodes FOR EACH ROW EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.nodes FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audits.checkpoints FOR EACH ROW EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
-- For months without a partition: no entry is refused because a job did not run.
CREATE TABLE audits.entries_default PARTITION OF audits.entries DEFAULT;--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.entries_default FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE FUNCTION audits.make_partitions(months_ahead integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
  month timestamptz := date_trunc('month', now());
  part text;
BEGIN
  FOR n IN 0..least(greatest(months_ahead, 0), 24) LOOP
    part := 'entries_' || to_char(month, 'YYYY_MM');
    IF to_regclass('audits.' || part) IS NULL THEN
      PERFORM pg_advisory_xact_lock(7203119);
      BEGIN
        EXECUTE format('CREATE TABLE audits.%I PARTITION OF audits.entries FOR VALUES FROM (%L) TO (%L)', part, month, month + interval '1 month');
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.%I FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change()', part);
      EXCEPTION
        WHEN duplicate_table THEN NULL; -- created concurrently
        WHEN check_violation THEN NULL; -- the default partition has entries of this month: all entries of the month stay there
      END;
    END IF;
    month := month + interval '1 month';
  END LOOP;
END $$;--> statement-breakpoint
SELECT audits.make_partitions(2);
