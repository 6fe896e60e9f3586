#!/usr/bin/env bash
# Checks the Terraform module and its environments: format, validation, and the module's tests with mocked providers. Needs terraform
# and access to the provider registry.
set -euo pipefail
cd "$(dirname "$0")/../deploy/terraform"

terraform fmt -check -diff -recursive
# In a copy, because init writes files.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R . "$copy"
for folder in modules/orderhub environments/*; do
  echo "$folder"
  terraform -chdir="$copy/$folder" init -backend=false -input=false -no-color > "$copy/said" || { cat "$copy/said"; exit 1; }
  terraform -chdir="$copy/$folder" validate -no-color
done
terraform -chdir="$copy/modules/orderhub" test -no-color
