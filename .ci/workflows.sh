#!/usr/bin/env bash
# Lints the workflows, the scripts, the YAML files and the Dockerfile. Needs actionlint, zizmor, shellcheck, yamllint and hadolint.
set -euo pipefail
cd "$(dirname "$0")/.."

actionlint
zizmor --offline --persona=pedantic --quiet .github
mapfile -t scripts < <(git grep --untracked -lE '^#!.*\b(ba)?sh$' -- '*.sh' .ci)
shellcheck "${scripts[@]}"
mapfile -t yaml < <(git ls-files --cached --others --exclude-standard -- '*.yml' '*.yaml' \
  ':!charts/*/templates/*' ':!test/cluster/manifests/script-pod.yaml') # templates
style='{extends: default, rules: {document-start: disable, line-length: disable, truthy: {check-keys: false},
  braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}, comments-indentation: disable,
  indentation: {indent-sequences: consistent}}}'
yamllint --strict -d "$style" "${yaml[@]}"
hadolint Dockerfile
