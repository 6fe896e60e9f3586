#!/usr/bin/env bash
# All checks of the chart that need no cluster. Needs helm, helm-unittest, helm-docs, node, and kubeconform or the command in KUBECONFORM.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t versions < <(sed -n 's/^[a-z].*/--api-versions=&/p' ci/api-versions.txt)
for values in ci/*-values.yaml; do
  echo "$values"
  helm lint --strict --quiet . --values "$values"
  helm template orderhub . --namespace shop "${versions[@]}" --values "$values" | ci/validate.sh
done
echo 'unit tests'
helm-unittest --strict .
echo 'checksums of the configuration'
checksums() {
  helm template orderhub . --set existingSecret=x "$@" --show-only templates/workload.yaml |
    sed -n -e 's|^ *app.kubernetes.io/component: ||p' -e 's|^ *checksum/config: ||p' | awk 'length($0) == 64 { print name, $0 } { name = $0 }'
}
changed=$({ diff <(checksums) <(checksums --set services.order.config.WORKERS=5) || true; } | sed -n 's/^> \([a-z]*\) .*/\1/p')
[ "$changed" = order ] || { echo "services.order.config replaces the pods of: ${changed:-none}"; exit 1; }
echo 'unknown values'
ci/strict-values.mjs
echo 'README'
helm-docs --chart-search-root . --sort-values-order file --dry-run --log-level error 2>/dev/null | diff - README.md ||
  { echo 'README.md is not current: helm-docs --chart-search-root charts/orderhub --sort-values-order file'; exit 1; }
