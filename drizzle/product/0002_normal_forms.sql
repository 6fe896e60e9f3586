ALTER TABLE "products"."products" ADD COLUMN "name_folded" text;--> statement-breakpoint
ALTER TABLE "products"."products" ADD COLUMN "sku_folded" text;--> statement-breakpoint
ALTER TABLE "products"."products" ADD COLUMN "folded_version" integer;--> statement-breakpoint
CREATE INDEX "products_stale" ON "products"."products" USING btree ("id") WHERE "products"."products"."folded_version" is distinct from "products"."products"."version";