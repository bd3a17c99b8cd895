#!/usr/bin/env bash
# Runs as root on a new Debian under systemd: what an operator does with the package, and what systemd
# does for them.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
said() { echo "ok  $*"; }
wait_for() { # COMMAND...: until it succeeds, for a minute at the most
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "never: $*" >&2
  systemctl status countersign --no-pager >&2 || true
  journalctl -u countersign --no-pager | tail -30 >&2
  return 1
}
is_ready() { curl -fsS http://127.0.0.1:8080/readyz; }
pid() { systemctl show -p MainPID --value countersign; }

dpkg -i /root/countersign.deb >/dev/null
[ "$(systemctl is-enabled countersign || true)" = disabled ]
[ "$(stat -c '%U %a' /var/lib/countersign)" = 'countersign 700' ]
systemd-analyze verify --man=no countersign.service
said "installed; not started before it is configured"

# A simulator stands for Sumsub.
systemd-run --quiet --unit=simulator /usr/bin/countersign simulator
printed() { journalctl -u simulator --output=cat --no-pager; }
has_printed() { printed | grep -q LEVEL_INDIVIDUAL; }
wait_for has_printed
value() { printed | sed -n "s/^export COUNTERSIGN_SUMSUB_$1=//p" | tr -d "'\"" | tail -1; }
secret() { value "$1" | install -m 0640 -g countersign /dev/stdin "/etc/countersign/credentials/$2"; }
secret APP_TOKEN sumsub-app-token
secret SECRET_KEY sumsub-secret-key
secret WEBHOOK_SECRET sumsub-webhook-secret
{
  echo "COUNTERSIGN_SUMSUB_URL=$(value URL)"
  echo "COUNTERSIGN_SUMSUB_LEVEL_BUSINESS=$(value LEVEL_BUSINESS)"
  echo "COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL=$(value LEVEL_INDIVIDUAL)"
} >>/etc/countersign/environment

# Root's first command makes the register; it belongs to the service all the same.
useradd ada
broker=$(SUDO_UID=$(id -u ada) countersign-operator org create --name Broker --type BUSINESS)
[ "$(stat -c %U /var/lib/countersign/register.db)" = countersign ]
key=$(countersign-operator key create --org "$broker" --name first)
said "an operator's command makes a register that belongs to the service"

systemctl enable --quiet --now countersign
is_ready >/dev/null
systemctl show -p StatusText --value countersign | grep -q '^serves http://127.0.0.1:8080'
said "started: systemd waited until it was ready"

api() { curl -fsS -H "Authorization: Bearer $key" "$@"; }
customer=$(api -H 'Content-Type: application/json' -d '{"name":"Acme","type":"BUSINESS"}' \
  http://127.0.0.1:8080/v1/organizations | jq -r .organizationId)
api -X POST -H "Nxos-On-Behalf-Of: $customer" http://127.0.0.1:8080/v1/organizations/verification |
  jq -e .accessToken >/dev/null
applicant=$(curl -fsS "http://127.0.0.1:8091/applicants?externalUserId=$customer" | jq -r '.applicants[0].id')
for action in submit approve; do
  curl -fsS -X POST "http://127.0.0.1:8091/applicants/$applicant/$action" >/dev/null
done
status() {
  api -H "Nxos-On-Behalf-Of: $customer" http://127.0.0.1:8080/v1/organizations/verification | jq -e ".status == \"$1\""
}
wait_for status APPROVED
said "a customer is verified inside the sandbox of the unit"

countersign-operator loa sign --granting "$customer" --authorized "$broker" --signer-name 'Jo Doe' \
  --signer-role Director --how paper --reference folder/1 >/dev/null
SUDO_UID=$(id -u ada) countersign-operator verification hold "$customer" --reason 'a hit on a list' >/dev/null
wait_for status ON_HOLD
countersign-operator verification show "$customer" | grep -qF 'operator:ada (as countersign)'
said "the command line works beside the service, on the same register"

reloaded() { journalctl -u countersign --output=cat --no-pager | grep '"reloaded"' | grep -c "$1" || true; }
has_reloaded() { [ "$(reloaded "$1")" -ge 1 ]; }
before=$(pid)
{
  echo the-secret-to-come
  value WEBHOOK_SECRET
} >/etc/countersign/credentials/sumsub-webhook-secret
{
  echo COUNTERSIGN_LOG=debug
  echo COUNTERSIGN_TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8
  echo COUNTERSIGN_LINK_DAYS=30
} >>/etc/countersign/environment
systemctl reload countersign
wait_for has_reloaded 'sumsub-webhook-secret, trusted-proxies, log'
journalctl -u countersign --output=cat --no-pager | grep 'next start' | grep -q link-days
webhook='{"type":"applicantPending","testMode":true}'
digest=$(printf %s "$webhook" | openssl dgst -sha256 -hmac the-secret-to-come | sed 's/.* //')
curl -fsS -X POST -H "X-Payload-Digest: $digest" -H 'X-Payload-Digest-Alg: HMAC_SHA256_HEX' -d "$webhook" \
  http://127.0.0.1:8080/webhooks/sumsub
value WEBHOOK_SECRET >/etc/countersign/credentials/sumsub-webhook-secret
cp /etc/countersign/environment /root/environment
echo COUNTERSIGN_LOG=loud >>/etc/countersign/environment
systemctl kill -s HUP countersign
was_refused() { systemctl show -p StatusText --value countersign | grep -q 'the last reload was refused'; }
wait_for was_refused
cp /root/environment /etc/countersign/environment
systemctl kill -s HUP countersign
wait_for has_reloaded '"sumsub-webhook-secret"'
systemctl is-active --quiet countersign
[ "$(pid)" = "$before" ]
wait_for status ON_HOLD
said "reloaded: secrets, proxies and the log level, by the same process; what is wrong changes nothing"

mkdir -p /run/systemd/system/countersign.service.d
printf '[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n' >/run/systemd/system/countersign.service.d/test.conf
systemctl daemon-reload
systemctl restart countersign
before=$(pid)
kill -STOP "$before"
changed() { [ "$(pid)" != "$before" ] && is_ready; }
wait_for changed
wait_for status ON_HOLD
said "a server that hangs is ended by the watchdog and started again, with everything it had"

before=$(pid)
kill -KILL "$before"
wait_for changed
wait_for status ON_HOLD
said "a server that was killed is started again, with everything it had"

systemctl stop countersign
[ "$(systemctl show -p Result --value countersign)" = success ]
said "stopped in order"

# A register of an earlier version, as an upgrade finds it.
earlier() {
  install -o countersign -g countersign -m 0600 /root/register-3.db "/var/lib/countersign/$1.db"
  sed -i "s|^COUNTERSIGN_DATABASE=.*|COUNTERSIGN_DATABASE=/var/lib/countersign/$1.db|" /etc/countersign/environment
}
earlier upgraded
dpkg -i /root/countersign.deb 2>&1 | grep -q 'countersign-operator migrate'
systemctl start countersign 2>/dev/null && exit 1
wait_for systemctl is-failed countersign
[ "$(systemctl show -p NRestarts --value countersign)" = 0 ]
journalctl -u countersign --output=cat --no-pager | grep -q 'written by an earlier version'
systemctl reset-failed countersign
countersign-operator migrate >/dev/null 2>&1
if dpkg -i /root/countersign.deb 2>&1 | grep -q 'countersign-operator migrate'; then exit 1; fi
systemctl start countersign
is_ready >/dev/null
systemctl stop countersign
said "an upgrade says that there is something to migrate, and the service does not try again and again"

earlier by-itself
echo COUNTERSIGN_MIGRATE=yes >>/etc/countersign/environment
systemctl start countersign
is_ready >/dev/null
countersign-operator verify | grep -q '^Good'
systemctl stop countersign
sed -i '/^COUNTERSIGN_MIGRATE=/d' /etc/countersign/environment
sed -i 's|^COUNTERSIGN_DATABASE=.*|COUNTERSIGN_DATABASE=/var/lib/countersign/register.db|' /etc/countersign/environment
said "a service that may migrates by itself"

code=0
(cd /root && countersign org create --name Stray --type BUSINESS) 2>/root/plain || code=$?
[ "$code" = 2 ] && grep -q 'sudo countersign-operator' /root/plain && [ ! -e /root/countersign.db ]
said "a plain countersign beside the service names the operator's one, and makes no register of its own"

sed -i 's/^COUNTERSIGN_ENVIRONMENT=.*/COUNTERSIGN_ENVIRONMENT=tset/' /etc/countersign/environment
systemctl start countersign 2>/dev/null && exit 1
wait_for systemctl is-failed countersign
[ "$(systemctl show -p NRestarts --value countersign)" = 0 ]
journalctl -u countersign --output=cat --no-pager | grep -q 'it must be test or live'
said "a wrong setting is said once, and not tried again"

own_words() { journalctl -u countersign --output=cat --no-pager; }
own_words | grep -q 'countersign serves http'
for secret in "$(cat /etc/countersign/credentials/sumsub-secret-key)" "$key"; do
  if own_words | grep -qF "$secret"; then exit 1; fi
done
said "no secret is in the journal"

dpkg --purge countersign >/dev/null 2>&1
[ ! -e /etc/countersign ] && [ -e /var/lib/countersign/register.db ]
said "purged; the register stays"
