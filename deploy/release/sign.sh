#!/usr/bin/env bash
# sign.sh REPOSITORY VERSION: pushes the scanned layout `image` by digest, without a tag, and signs it and its SBOMs from `sbom`.
# Prints digest=DIGEST. Needs crane and cosign, and the OpenID Connect identity of a workflow.
set -euo pipefail

exec 3>&1 >&2
repository=$1 version=${2#v}
if crane digest "$repository:$version" > /dev/null 2>&1; then
  echo "$repository:$version exists already: a version is published only once" >&2
  exit 1
fi
digest=$(jq -re '.manifests[0].digest' image/index.json)
crane push image "$repository@$digest"
cosign sign --yes --recursive "$repository@$digest"
platforms=$("$(dirname "$0")/platforms.sh" image platforms)
while read -r architecture platform; do
  cosign attest --yes --type cyclonedx --predicate "sbom/$architecture.cdx.json" "$repository@$platform"
  cosign attest --yes --type spdxjson --predicate "sbom/$architecture.spdx.json" "$repository@$platform"
done <<< "$platforms"
echo "digest=$digest" >&3
