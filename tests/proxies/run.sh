#!/usr/bin/env bash
# The whole story of the demo through TLS, with the real Caddy and the real nginx in front, each with the
# lines of packaging/proxies; then what only a proxy can get wrong (check.py). Needs a Debian host where the
# proxies are not there yet, and the generated client: run tests/openapi/client/run.sh first.
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../.. && pwd)"
binary="${COUNTERSIGN_BIN:-$root/target/release/countersign}"
client="$root/target/openapi/client"

if ! command -v caddy >/dev/null || ! command -v nginx >/dev/null || ! command -v openssl >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends caddy nginx-light openssl
fi

work=$(mktemp -d)
# nginx works as a user of its own, and keeps large bodies there.
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext 'subjectAltName=DNS:localhost' -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
for proxy in caddy nginx; do
  echo "--- $proxy: the story"
  PYTHONPATH="$client/generated" "$client/venv/bin/python" ../openapi/client/play.py "$binary" "$proxy" "$work"
  echo "--- $proxy: what only a proxy can get wrong"
  python3 check.py "$binary" "$proxy" "$work"
done
