#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The device-tree sources compile and fit the schema; a spoiled one does not. Needs dtc and dt-schema.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

dt-doc-validate -u bindings 'bindings/hadump,dump-kernel.yaml' 2>&1 | grep -v 'ignoring\|duplicate' && exit 1
dt-mk-schema -j "$PWD/bindings" > "$out/schema.json"

# complaints DTB: what the schema says, nothing when it fits.
complaints() {
  dt-validate -s "$out/schema.json" -l hadump "$1" 2>&1
}

for source in dump-kernel.dts examples/*.dts; do
  dtc -q -I dts -O dtb -o "$out/good.dtb" "$source"
  said=$(complaints "$out/good.dtb")
  [ -z "$said" ] || { echo "$source: $said"; exit 1; }
done

# with_holes COUNT: the good source, but with so many single pages missing in what is held.
with_holes() {
  {
    # shellcheck disable=SC1003  # a line that goes on
    echo '/hadump,holes/c hadump,holes = /bits/ 64 <\'
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; ++i) printf "%d 4096 \\\n", 268435456 + i * 8192 }'
    echo '>;'
  } > "$out/holes.sed"
  sed -f "$out/holes.sed" dump-kernel.dts > "$out/holes.dts"
  dtc -q -I dts -O dtb -o "$out/holes.dtb" "$out/holes.dts"
  complaints "$out/holes.dtb"
}
said=$(with_holes 65000)
[ -z "$said" ] || { echo "as many holes as there may be: $said" | cut -c 1-200; exit 1; }
[ -n "$(with_holes 65001)" ] || { echo "the schema takes more holes than a reader"; exit 1; }

# spoiled SED: the schema must complain about what the expression made of the good source.
spoiled() {
  sed "$1" dump-kernel.dts > "$out/bad.dts"
  cmp -s dump-kernel.dts "$out/bad.dts" && { echo "does nothing: $1"; exit 1; }
  dtc -q -I dts -O dtb -o "$out/bad.dtb" "$out/bad.dts"
  [ -n "$(complaints "$out/bad.dtb")" ] || { echo "the schema takes $1"; exit 1; }
}
spoiled 's/hadump,boots = <1>/hadump,boots = <0>/'
spoiled 's/hadump,version = <1>/hadump,version = <2>/'
spoiled 's/"added"/"borrowed"/'
spoiled '/hadump,held/d'
spoiled 's/ 0x0 0x40200000>/>/'
spoiled 's/\[0123456789abcdef1032/[1032/'
echo "the sources fit the schema, and spoiled ones do not"
