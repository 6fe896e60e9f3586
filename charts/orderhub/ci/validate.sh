#!/usr/bin/env bash
# Validates manifests on standard input against the Kubernetes API schemas, with kubeconform or the command in KUBECONFORM.
set -euo pipefail
# shellcheck disable=SC2086 # a command, with arguments
exec ${KUBECONFORM:-kubeconform -strict -kubernetes-version 1.35.0} -ignore-missing-schemas -summary -
