#!/usr/bin/env bash
# Lints the OpenAPI document under spectral (spectral:oas) and redocly (recommended). Warnings fail.
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../.. && pwd)"
tools="$root/target/openapi/lint"
mkdir -p "$tools"
cp package.json package-lock.json "$tools/"
npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --silent
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
"$tools/node_modules/.bin/spectral" lint "$root/src/api/openapi.json" \
  --ruleset .spectral.yaml --fail-severity=hint
found="$("$tools/node_modules/.bin/redocly" lint "$root/src/api/openapi.json" --format=summary 2>&1)" ||
  { echo "$found"; exit 1; }
if grep -q '^warning ' <<<"$found"; then echo "$found"; exit 1; fi
echo "redocly: no problems"
