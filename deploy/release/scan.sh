#!/usr/bin/env bash
# scan.sh: scans each platform of the OCI layout `image`, and writes its SBOMs to `sbom`. Needs docker and syft.
set -euo pipefail

here=$(dirname "$0")
mkdir -p sbom
"$here/platforms.sh" image platforms | while read -r architecture digest; do
  echo "$architecture $digest"
  "$here/../../.ci/trivy.sh" image --input "platforms/$architecture" --scanners vuln,secret --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 < /dev/null
  syft scan "oci-dir:platforms/$architecture" --source-name ghcr.io/orderhub/orderhub --source-version "$digest" \
    --output "cyclonedx-json=sbom/$architecture.cdx.json" --output "spdx-json=sbom/$architecture.spdx.json"
done
