CREATE TABLE "notifications"."message_counts" (
	"key" "bytea" PRIMARY KEY NOT NULL,
	"messages" integer NOT NULL,
	"expires_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "notifications"."notifications" DROP CONSTRAINT "notifications_status";--> statement-breakpoint
ALTER TABLE "notifications"."notifications" ADD COLUMN "claim" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "notifications"."notifications" ADD COLUMN "due_at" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "notifications"."notifications" ADD COLUMN "failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "notifications"."notifications" ADD COLUMN "origin" jsonb;--> statement-breakpoint
CREATE INDEX "message_counts_expires" ON "notifications"."message_counts" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "notifications_due" ON "notifications"."notifications" USING btree ("channel","due_at") WHERE "notifications"."notifications"."due_at" is not null;--> statement-breakpoint
ALTER TABLE "notifications"."notifications" ADD CONSTRAINT "notifications_status" CHECK ("notifications"."notifications"."status" in ('pending', 'sending', 'sent', 'failed', 'uncertain', 'skipped', 'held', 'limited'));