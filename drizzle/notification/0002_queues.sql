CREATE TABLE "notifications"."subscriptions" (
	"type" text NOT NULL,
	"queue" text NOT NULL,
	"seen_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "subscriptions_type_queue" PRIMARY KEY("type","queue")
);
--> statement-breakpoint
-- The previous version writes rows without a queue, and finds and deletes all rows by their id.
ALTER TABLE "notifications"."outbox" ADD COLUMN "queue" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "notifications"."outbox" DROP CONSTRAINT "outbox_pkey", ADD CONSTRAINT "outbox_id_queue" PRIMARY KEY("id","queue");--> statement-breakpoint
DROP INDEX "notifications"."outbox_available";--> statement-breakpoint
CREATE INDEX "outbox_due" ON "notifications"."outbox" USING btree ("queue","available_at");
