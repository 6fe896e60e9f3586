#!/usr/bin/env bash
# build.sh VERSION: builds the image for both architectures into the OCI layout `image`, without publishing anything. Needs docker.
set -euo pipefail

version=${1#v}
binfmt=tonistiigi/binfmt:qemu-v10.2.3@sha256:400a4873b838d1b89194d982c45e5fb3cda4593fbfd7e08a02e76b03b21166f0
buildkit=moby/buildkit:v0.31.1@sha256:6b59b7df63a8cb9902736f9ddf7fcff8261613d3e7449b8ea8b7537fc399c03a
base=node:24-bookworm-slim
time=$(git log -1 --format=%ct)

docker run --privileged --rm "$binfmt" --install arm64 > /dev/null
docker buildx create --name release --driver docker-container --driver-opt "image=$buildkit" > /dev/null
digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
echo "on $base@$digest"
# Another job signs provenance and SBOMs; it does not run the code that is built here.
docker buildx build . --builder release --platform linux/amd64,linux/arm64 --provenance=false --sbom=false \
  --build-arg BASE="$base@$digest" --build-arg VERSION="$version" --build-arg REVISION="$(git rev-parse HEAD)" \
  --build-arg CREATED="$(date --utc --date="@$time" +%FT%TZ)" --build-arg SOURCE_DATE_EPOCH="$time" \
  --output type=oci,dest=image,tar=false,rewrite-timestamp=true
