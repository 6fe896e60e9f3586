#!/usr/bin/env bash
# Runs the unit and contract tests with coverage and shows it, in GitHub Actions on the job's summary page.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

node scripts/test.ts --coverage --coverage-report=json-summary --no-browser \
  'test/unit/**/*.test.ts' 'test/contract/*.test.ts' test/architecture.test.ts
{
  echo '### Coverage of unit and contract tests'
  echo '```'
  tap report text --no-browser
  echo '```'
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
