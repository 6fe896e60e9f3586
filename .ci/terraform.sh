#!/usr/bin/env bash
# The Terraform module and its environments: format, validity, and the module's tests on mocked providers. Needs terraform, and the
# registry of its providers.
set -euo pipefail
cd "$(dirname "$0")/../deploy/terraform"

terraform fmt -check -diff -recursive
# In a copy: what init writes belongs to no checkout.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R . "$copy"
for folder in modules/orderhub environments/*; do
  echo "$folder"
  terraform -chdir="$copy/$folder" init -backend=false -input=false -no-color > "$copy/said" || { cat "$copy/said"; exit 1; }
  terraform -chdir="$copy/$folder" validate -no-color
done
terraform -chdir="$copy/modules/orderhub" test -no-color
