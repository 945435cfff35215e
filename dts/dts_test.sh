#!/bin/sh
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
