#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs what is missing on this Debian 12 machine. Does nothing, quickly, when nothing is.
# usage: tests/setup/setup.sh [GROUP…]      groups: see packages.txt; none means all
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/long.sh"

wanted() {
  awk -v groups=" $* " '!/^#/ && NF == 2 && (groups == "  " || index(groups, " " $1 " ")) {
    sub(/^kernel:/, "", $2); print $2 }' "$here/packages.txt"
}

missing() {
  local package
  for package in $(wanted "$@"); do
    # A package whose triggers have not run yet works.
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qxE 'installed|triggers-(pending|awaited)' ||
      echo "$package"
  done
}

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "setup: not root; these packages are missing: ${packages[*]}" >&2
  exit 1
fi
echo "setup: installing ${#packages[@]} packages: ${packages[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# What an earlier installation left half done, being killed, would stop every apt-get.
long "$log" dpkg --configure -a || :
# A mirror that answers badly once is asked again; what it said is shown when it stays bad.
for attempt in 1 2 3; do
  if long "$log" apt-get -q -o DPkg::Lock::Timeout=600 update &&
    long "$log" apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${packages[@]}"; then
    exit 0
  fi
  echo "setup: apt-get failed (attempt $attempt of 3)" >&2
  sleep $((attempt * 5))
done
exit 1
