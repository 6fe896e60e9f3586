#!/usr/bin/env bash
# Checks the alerts of the PrometheusRule and runs their tests. Needs helm and promtool.
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

helm template orderhub .. --namespace shop --set prometheusRule.enabled=true --set existingSecret=orderhub \
  --api-versions monitoring.coreos.com/v1 --show-only templates/prometheusrule.yaml |
  sed -e '1,/^spec:/d' -e 's/^  //' >"$folder/rules.yaml"
cp alerts-test.yaml "$folder"
promtool check rules "$folder/rules.yaml"
promtool test rules "$folder/alerts-test.yaml"

# The runbook has a heading for each alert.
grep -o 'runbooks.md#[a-z-]*' "$folder/rules.yaml" | sort -u | cut -d'#' -f2 | while read -r name; do
  grep -qx "## $name" ../../../docs/runbooks.md || { echo "docs/runbooks.md has no heading $name"; exit 1; }
done
