CREATE TABLE "users"."mail_requests" (
	"event_id" uuid PRIMARY KEY NOT NULL,
	"user_id" integer NOT NULL,
	"purpose" text NOT NULL,
	"address" "bytea",
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "users"."refresh_tokens" ADD COLUMN "amr" text DEFAULT 'pwd' NOT NULL;--> statement-breakpoint
ALTER TABLE "users"."users" ADD COLUMN "pending_email" "bytea";--> statement-breakpoint
ALTER TABLE "users"."mail_requests" ADD CONSTRAINT "mail_requests_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "users"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "mail_requests_user" ON "users"."mail_requests" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "mail_requests_expiry" ON "users"."mail_requests" USING btree ("expires_at");