#!/bin/sh
# Gets the etcd that the tests talk to: nothing to do when there is one, else Debian's packages unpacked into
# node_modules/.etcd, which needs no root. Where that cannot be, says in one line how to get it and ends with 0:
# the tests that need it then fail and say the same.
set -u

here=$(cd "$(dirname "$0")/../.." && pwd) || exit 0
place="$here/node_modules/.etcd"
packages="etcd-server etcd-client"
# Behind a network that swallows packets this ends within a minute.
patience="-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"

is_there() {
  { [ -n "${ETCD_BIN:-}" ] || command -v etcd || [ -x "$place/usr/bin/etcd" ]; } >/dev/null 2>&1 &&
    { [ -n "${ETCDCTL_BIN:-}" ] || command -v etcdctl || [ -x "$place/usr/bin/etcdctl" ]; } >/dev/null 2>&1
}

is_root() {
  [ "$(id -u)" = 0 ]
}

# Another `npm test` may do the same at the same time: everything is made aside, then moved.
unpack() {
  aside=$(mktemp -d "$here/node_modules/.etcd-XXXXXX") || return 1
  # apt-get downloads as another user when it may, and warns when that one cannot write here.
  # shellcheck disable=SC2086
  (cd "$aside" && apt-get $patience -o APT::Sandbox::User=root -qq download $packages) >/dev/null 2>&1 &&
    for file in "$aside"/*.deb; do dpkg-deb -x "$file" "$aside/tree" || return 1; done &&
    "$aside/tree/usr/bin/etcd" --version >/dev/null 2>&1 &&
    "$aside/tree/usr/bin/etcdctl" version >/dev/null 2>&1 &&
    { rm -rf "$place" && mv "$aside/tree" "$place"; }
}

clean() {
  [ -z "${aside:-}" ] || rm -rf "$aside"
}

is_there && exit 0
trap clean EXIT

if command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
  echo "getting an etcd for the tests ($packages) ..." >&2
  unpack && exit 0
  clean
  # shellcheck disable=SC2086
  is_root && apt-get $patience -qq update >/dev/null 2>&1 && unpack && exit 0
  clean
  # shellcheck disable=SC2086
  is_root && DEBIAN_FRONTEND=noninteractive apt-get $patience -qq install -y $packages >/dev/null 2>&1
  is_there && exit 0
fi

echo "no etcd for the tests: install etcd 3.4 or later (Debian: etcd-server and etcd-client; macOS: brew install etcd)," \
  "or set ETCD_BIN and ETCDCTL_BIN to its programs" >&2
exit 0
