#!/usr/bin/env bash
# trivy.sh ARGUMENT…: runs Trivy from its image, by digest, with the current folder and the credentials of `docker login`.
set -euo pipefail

image=ghcr.io/aquasecurity/trivy:0.74.0@sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969
options=()
if [ -f "$HOME/.docker/config.json" ]; then options+=(--volume "$HOME/.docker/config.json:/root/.docker/config.json:ro"); fi
if [ -n "${GITHUB_TOKEN:-}" ]; then options+=(--env GITHUB_TOKEN); fi
mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/trivy"
exec docker run --rm "${options[@]}" --volume "$PWD:/work" --workdir /work \
  --volume "${XDG_CACHE_HOME:-$HOME/.cache}/trivy:/root/.cache/trivy" "$image" "$@"
