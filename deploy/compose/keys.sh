#!/bin/sh
# Creates (init) or rotates (rotate) all keys in /keys/all, and gives each service a folder with its own keys and the public ones.
set -eu
umask 077
mkdir -p /keys/all
node dist/keys.js "$1" /keys/all

# give SERVICE FILE: copies atomically, because the service may be reading the file.
give() {
  cp -p "/keys/all/$2" "/keys/$1/.$2"
  mv "/keys/$1/.$2" "/keys/$1/$2"
}

for service in gateway user order product notification audit; do
  mkdir -p "/keys/$service"
  give "$service" public.json
  give "$service" "service-$service.private.json"
  give "$service" "audit-entry-$service.private.json"
done
give user access-token.private.json
give user data-keys.private.json
give audit audit-checkpoint.private.json
