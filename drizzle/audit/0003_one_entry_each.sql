CREATE TABLE "audits"."event_ids" (
	"event_id" uuid PRIMARY KEY NOT NULL,
	"service" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audits"."parked" (
	"digest" text PRIMARY KEY NOT NULL,
	"service" text NOT NULL,
	"key_id" text NOT NULL,
	"entry" jsonb NOT NULL,
	"parked_at" timestamp(3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "parked_by_key" ON "audits"."parked" USING btree ("service","key_id");--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audits.event_ids FOR EACH ROW EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audits.event_ids FOR EACH STATEMENT EXECUTE FUNCTION audits.refuse_change();--> statement-breakpoint
-- Runs with the owner's privileges: the service's role cannot write to event_ids, so it cannot block a future entry. The trigger also
-- applies to the previous version, which does not know this table.
CREATE FUNCTION audits.take_event_id() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO audits.event_ids (event_id, service) VALUES (NEW.event_id, NEW.service);
  RETURN NEW;
END $$;--> statement-breakpoint
-- CREATE TRIGGER blocks writers until the migration is committed; the next statement adds the existing entries first.
CREATE TRIGGER one_entry_each BEFORE INSERT ON audits.entries FOR EACH ROW EXECUTE FUNCTION audits.take_event_id();--> statement-breakpoint
-- Events that already have several entries keep them, and `audit.js verify` reports them.
INSERT INTO audits.event_ids (event_id, service) SELECT DISTINCT ON (event_id) event_id, service FROM audits.entries ORDER BY event_id, id;
