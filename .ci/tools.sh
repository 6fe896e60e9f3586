#!/usr/bin/env bash
# tools.sh NAME…: installs tools at pinned versions into ${TOOLS_BIN:-~/.local/bin}. Go's checksum database verifies the modules; the
# hashes in requirements.txt verify the wheels (name: python).
set -euo pipefail
cd "$(dirname "$0")"

bin=${TOOLS_BIN:-$HOME/.local/bin}
declare -A modules=(
  [actionlint]=github.com/rhysd/actionlint@v1.7.12//cmd/actionlint
  [cosign]=github.com/sigstore/cosign/v3@v3.1.3//cmd/cosign
  [crane]=github.com/google/go-containerregistry@v0.22.1//cmd/crane
  [gitleaks]=github.com/zricethezav/gitleaks/v8@v8.30.1//.
  [helm]=helm.sh/helm/v4@v4.3.1//cmd/helm
  [helm-docs]=github.com/norwoodj/helm-docs@v1.14.2//cmd/helm-docs
  [helm-unittest]=github.com/helm-unittest/helm-unittest@v1.1.2//cmd/helm-unittest
  [kind]=sigs.k8s.io/kind@v0.33.0//.
  [kubeconform]=github.com/yannh/kubeconform@v0.8.0//cmd/kubeconform
  [kubectl-kyverno]=github.com/kyverno/kyverno@v1.18.2//cmd/cli/kubectl-kyverno
  [syft]=github.com/anchore/syft@v1.57.0//cmd/syft
)

# Built as the main module, not by `go install`, so that its replace directives and its go.sum apply.
install_module() {
  local module=${modules[$1]%%//*} package=${modules[$1]#*//} folder flags='-s -w'
  folder=$(go mod download -json "$module" | jq -re .Dir)
  if [ "$1" = syft ]; then flags+=" -X main.version=${module#*@v}"; fi
  (cd "$folder" && CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=auto go build -buildvcs=false -trimpath -ldflags "$flags" -o "$bin/$1" "./$package")
}

mkdir -p "$bin"
for name in "$@"; do
  case $name in
    python)
      python3 -m venv "$bin/../share/orderhub-python"
      "$bin/../share/orderhub-python/bin/pip" install --quiet --require-hashes --only-binary=:all: -r requirements.txt
      for tool in hadolint shellcheck yamllint zizmor; do ln -sf "../share/orderhub-python/bin/$tool" "$bin/$tool"; done
      ;;
    *)
      [ -n "${modules[$name]:-}" ] || { echo "tools.sh: no tool is named $name" >&2; exit 64; }
      install_module "$name"
      ;;
  esac
  echo "$name is installed"
done
if [ -n "${GITHUB_PATH:-}" ]; then echo "$bin" >> "$GITHUB_PATH"; fi
