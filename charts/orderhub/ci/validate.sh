#!/usr/bin/env bash
# Manifests on standard input against the Kubernetes API's own schemas, by kubeconform or what KUBECONFORM names.
set -euo pipefail
# shellcheck disable=SC2086 # a command, with arguments
exec ${KUBECONFORM:-kubeconform -strict -kubernetes-version 1.35.0} -ignore-missing-schemas -summary -
