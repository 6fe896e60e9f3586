#!/usr/bin/env bash
# Checks the chart with every combination of charts/orderhub/ci, its unit tests, the overlays and the admission policies, against the
# Kubernetes API schemas. Needs the tools of charts/orderhub/ci/check.sh, and kubectl or kustomize.
set -euo pipefail
cd "$(dirname "$0")/.."

charts/orderhub/ci/check.sh
if command -v promtool > /dev/null; then charts/orderhub/ci/check-alerts.sh; else echo 'skipped: promtool is not installed'; fi

build() { if command -v kubectl > /dev/null; then kubectl kustomize "$1"; else kustomize build "$1"; fi; }
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for overlay in deploy/gitops/overlays/*/; do
  echo "overlay $overlay"
  build "$overlay" 2> "$said" | charts/orderhub/ci/validate.sh
  if [ -s "$said" ]; then cat "$said"; exit 1; fi
done

if command -v kubectl-kyverno > /dev/null; then
  kubectl-kyverno test deploy/gitops/policies
elif [ -n "${GITHUB_ACTIONS:-}" ]; then
  exit 69
else
  echo 'skipped: kubectl-kyverno is not installed'
fi
