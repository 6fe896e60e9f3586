#!/usr/bin/env bash
# propose.sh ENVIRONMENT DIGEST BRANCH TITLE: opens a pull request that changes the digest in the environment's overlay, and waits until
# it is merged after its checks. Prints previous=DIGEST and commit=SHA. Needs gh with GH_TOKEN and GH_REPO.
set -euo pipefail

exec 3>&1 >&2
environment=$1 digest=$2 branch=$3 title=$4
file=deploy/gitops/overlays/$environment/kustomization.yaml
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

head=$(gh api "repos/$GH_REPO/git/ref/heads/main" --jq .object.sha)
gh api "repos/$GH_REPO/contents/$file?ref=$head" > "$work/contents.json"
jq -r .content "$work/contents.json" | base64 --decode > "$work/kustomization.yaml"
previous=$(node "$here/digest.ts" "$work/kustomization.yaml")
echo "previous=$previous" >&3
if [ "$previous" = "$digest" ]; then
  echo "commit=$head" >&3
  exit
fi
node "$here/digest.ts" "$work/kustomization.yaml" "$digest"

# Through the API: GitHub signs the commit, and no credentials are stored in a work tree.
gh api "repos/$GH_REPO/git/refs" --raw-field ref="refs/heads/$branch" --raw-field sha="$head" > /dev/null
base64 --wrap=0 "$work/kustomization.yaml" > "$work/content"
gh api --method PUT "repos/$GH_REPO/contents/$file" --raw-field branch="$branch" --raw-field message="$title" \
  --raw-field sha="$(jq -r .sha "$work/contents.json")" --field content=@"$work/content"

url=$(gh pr create --base main --head "$branch" --title "$title" --body "$previous -> $digest")
echo "$url"
# A pull request with GITHUB_TOKEN starts no workflow; a dispatch does, and its checks count for the same commit.
gh workflow run ci.yml --ref "$branch"
gh pr merge "$url" --auto --squash --delete-branch

for ((waited = 0; waited < ${MERGE_SECONDS:-2700}; waited += ${POLL_SECONDS:-15})); do
  gh pr view "$url" --json state,mergeCommit > "$work/state.json"
  case $(jq -r .state "$work/state.json") in
    MERGED) echo "commit=$(jq -r .mergeCommit.oid "$work/state.json")" >&3; exit ;;
    CLOSED) echo "$url was closed"; exit 1 ;;
  esac
  sleep "${POLL_SECONDS:-15}"
done
gh pr close "$url" --delete-branch
echo "$url was not merged in time"
exit 1
