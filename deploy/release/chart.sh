#!/usr/bin/env bash
# chart.sh VERSION DIGEST FOLDER: packages the chart with this version and the image's digest as default. Needs helm.
set -euo pipefail

version=${1#v} digest=$2 folder=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r charts/orderhub "$work"
sed -i "/^image:/,/^[a-z]/s|^  digest: ''\$|  digest: $digest|" "$work/orderhub/values.yaml"
helm package "$work/orderhub" --version "$version" --app-version "$version" --destination "$folder"
rendered=$(helm template check "$folder/orderhub-$version.tgz" --set existingSecret=check)
if [[ $rendered != *"ghcr.io/orderhub/orderhub@$digest"* ]]; then
  echo 'the packaged chart does not have the digest' >&2
  exit 1
fi
