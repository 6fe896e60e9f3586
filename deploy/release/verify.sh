#!/usr/bin/env bash
# verify.sh ARTIFACT@DIGEST VERSION: verifies, as anyone can, who signed it and its SBOMs, and where it was built.
# Needs cosign, crane, jq, and gh with GH_TOKEN.
set -euo pipefail

artifact=$1 version=$2
repository=${GITHUB_REPOSITORY:-orderhub/orderhub}
workflow=$repository/.github/workflows/publish.yml
identity=(--certificate-identity "https://github.com/$workflow@refs/tags/$version"
  --certificate-oidc-issuer https://token.actions.githubusercontent.com)

cosign verify "${identity[@]}" "$artifact" > /dev/null
gh attestation verify "oci://$artifact" --repo "$repository" --signer-workflow "$workflow" --source-ref "refs/tags/$version" --deny-self-hosted-runners
# An image has SBOMs for each platform; the chart has none.
platforms=$(crane manifest "$artifact" | jq -r '.manifests[]?.digest')
for platform in $platforms; do
  for type in cyclonedx spdxjson; do
    cosign verify-attestation "${identity[@]}" --type "$type" "${artifact%@*}@$platform" > /dev/null
  done
done
echo "$artifact: signed and built by $workflow at $version"
