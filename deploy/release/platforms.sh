#!/usr/bin/env bash
# platforms.sh LAYOUT FOLDER: for each platform of an OCI layout with one image index, creates a layout FOLDER/ARCHITECTURE with only that
# image (the same blobs, so the same digests). Prints ARCHITECTURE DIGEST lines.
set -euo pipefail

layout=$1 folder=$2
index=$(jq -re '.manifests | if length == 1 then .[0].digest else error("expected one image") end' "$layout/index.json")
jq -er '.manifests[] | "\(.platform.architecture) \(.digest)"' "$layout/blobs/sha256/${index#sha256:}" | while read -r architecture digest; do
  mkdir -p "$folder/$architecture"
  cp -al "$layout/blobs" "$layout/oci-layout" "$folder/$architecture/"
  jq --arg digest "$digest" '{schemaVersion: 2, manifests: [.manifests[] | select(.digest == $digest)]}' \
    "$layout/blobs/sha256/${index#sha256:}" > "$folder/$architecture/index.json"
  echo "$architecture $digest"
done
