#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/shell/layers.sh finds an offender, and a directory that is not there any more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

tree=$scratch/tree
for directory in core/base core/codec core/vmcore core/dump core/save core/stream tests/shell userspace/cli userspace/dump_tools \
	userspace/dump_mount userspace/release_region userspace/vchan \
	hv/domain hv/capture hv/rescue hv/agent hv/stream hv/xen hv/hadumpd hv/hadump; do
	mkdir -p "$tree/$directory"
done
cp "$here/layers.sh" "$tree/tests/shell"

begin "has no complaint about what keeps to the layers"
echo '#include "core/base/file.h"' >"$tree/core/vmcore/source.cc"
expect_code 0 "$tree/tests/shell/layers.sh"
[ ! -s "$scratch/output" ] || fail "complains"

begin "names an offender"
echo '#include "core/dump/sink.h"' >"$tree/core/vmcore/source.cc"
expect_code 1 "$tree/tests/shell/layers.sh"
expect_said "core/vmcore/source.cc:1"
rm "$tree/core/vmcore/source.cc"

begin "fails for a directory that is not there"
rmdir "$tree/hv/agent"
expect_code 1 "$tree/tests/shell/layers.sh"
expect_said "hv/agent"

echo "all passed"
