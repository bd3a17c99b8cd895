#!/usr/bin/env bash
# Builds the Debian package, installs it on a new Debian that is booted in a container, and has the
# service live there under its real systemd: see inside.sh. Needs root and a Debian host; installs what
# it needs.
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../.. && pwd)"
place="$root/target/packaging-test"

for tool in debootstrap systemd-nspawn lintian; do
  command -v $tool >/dev/null && continue
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    debootstrap systemd-container lintian
done
command -v cargo-deb >/dev/null ||
  CARGO_TARGET_DIR="$root/target/tools" cargo install --quiet --locked cargo-deb
"$root/packaging/deb"
package=$(ls -t "$root"/target/debian/countersign_*.deb | head -1)
# A package that is not Debian's own has no changelog of Debian's, and the sudo wrapper no page.
lintian --allow-root --fail-on error,warning \
  --suppress-tags no-changelog,no-manual-page,copyright-without-copyright-notice "$package"
systemd-analyze security --offline=true --threshold=15 "$root/packaging/countersign.service" | tail -1

mkdir -p "$place"
packages=systemd,systemd-sysv,adduser,curl,jq,openssl
# Made anew when it lacks something.
[ "$(cat "$place/debian/.complete" 2>/dev/null)" = "$packages" ] || {
  rm -rf "$place/debian"
  debootstrap --variant=minbase --include="$packages" \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$place/debian" >"$place/debootstrap.log"
  echo "$packages" >"$place/debian/.complete"
}
# Every run on a copy, thrown away after it.
machine=$(mktemp -d "$place/machine.XXXXXX")
trap 'rm -rf "$machine"' EXIT
cp -a "$place/debian/." "$machine/"
cp "$package" "$machine/root/countersign.deb"
install -m 755 inside.sh "$machine/root/inside.sh"
python3 - "$root/tests/it/registers/3.sql" "$machine/root/register-3.db" <<'MAKE'
import sqlite3, sys
register = sqlite3.connect(sys.argv[2])
# Older SQLite than the program's own says of a JSON that is NULL that it is none.
register.execute("PRAGMA ignore_check_constraints = ON")
register.executescript(open(sys.argv[1], encoding="utf-8").read())
MAKE
cat >"$machine/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=-/bin/sh -c '/root/inside.sh >/root/told 2>&1 && touch /root/passed'
ExecStartPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
UNIT
mkdir -p "$machine/etc/systemd/system/default.target.wants"
ln -sf /etc/systemd/system/inside.service "$machine/etc/systemd/system/default.target.wants/"
# A network of its own: only its loopback.
timeout 300 systemd-nspawn --quiet --directory="$machine" --register=no --keep-unit --private-network \
  --boot >"$place/boot.log" 2>&1 || true
cat "$machine/root/told"
if [ ! -e "$machine/root/passed" ]; then
  echo "the package's test failed; the machine's own story is in $place/boot.log" >&2
  exit 1
fi
