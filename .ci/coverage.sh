#!/usr/bin/env bash
# coverage.sh FOLDER…: runs these tests with coverage and shows it, in GitHub Actions on the job's summary page.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

tap --no-disable-coverage --coverage-report=json-summary --no-browser --reporter=terse "$@"
{
  echo "### Coverage of $*"
  echo '```'
  tap report text --no-browser
  echo '```'
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
