#!/bin/bash
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
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      echo "$package"
  done
}

packages=$(missing "$@")
[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "setup: not root; these packages are missing:" $packages >&2
  exit 1
fi
echo "setup: installing $(echo "$packages" | wc -l) packages: $(echo $packages)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A mirror that answers badly once is asked again; what it said is shown when it stays bad.
for attempt in 1 2 3; do
  if long "$log" apt-get -q update &&
    long "$log" apt-get -q install -y --no-install-recommends $packages; then
    exit 0
  fi
  echo "setup: apt-get failed (attempt $attempt of 3)" >&2
  sleep $((attempt * 5))
done
exit 1
