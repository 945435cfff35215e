#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/shell/layers.sh finds every kind of offender.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

tree=$scratch/tree
check=$tree/tests/shell/layers.sh
mkdir -p "$tree"/{core/{abi,base,stream},hv/{agent,stream,xen},userspace/cli,guest/module,docs,tests/shell}
cp "$here/layers.sh" "$tree/tests/shell"
table() { # further rows
	cat >"$tree/docs/architecture.md" <<-'TABLE'
		| directory | what it is | may use |
		|---|---|---|
		| `core/abi` | the contract | – |
		| `core/base` | errors | abi |
		| `core/stream` | a protocol | base |
		| `hv/agent` | decisions | core |
		| `hv/stream` | streams | base, agent, core/stream |
		| `hv/xen` | the real side | base |
		| `userspace/cli` | commands | base |
		| `guest/module` | the module | abi |
	TABLE
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$tree/docs/architecture.md"
}
table
# source FILE LINE…
source_file() {
	local file=$tree/$1
	shift
	printf '%s\n' "$@" >"$file"
}
# offends FILE LINE…: such a source is named; then it goes.
offends() {
	source_file "$@"
	expect_code 1 "$check"
	expect_said "$1"
	rm "$tree/$1"
}

begin "has no complaint about what keeps to the layers"
source_file core/base/file.h ''
source_file core/base/file.cc '#include "core/base/file.h"' '#include "core/abi/hadump_abi.h"'
source_file hv/agent/rules.cc '#include "core/base/file.h"' '#include "core/stream/wire.h"'
source_file hv/xen/domain.cc '#include <xenctrl.h>'
source_file userspace/cli/options.cc '#include <boost/program_options.hpp>'
source_file guest/module/node.c '#include "node.h"' '#include "hadump_abi.h"' '#include <xen/xen.h>'
expect_code 0 "$check"
[ ! -s "$scratch/output" ] || fail "complains"

begin "names a directory that the table does not allow"
offends core/base/bad.cc '#include "core/stream/wire.h"'
offends hv/stream/bad.h '#include "core/abi/hadump_abi.h"'
offends userspace/cli/bad.cc '#include "hv/stream/task.h"'
offends hv/xen/bad.c '#include "hv/agent/rules.h"'
offends guest/module/bad.c '#include "core/base/file.h"'

begin "names others' headers in the wrong place"
offends hv/agent/bad.cc '#include <xenctrl.h>'
offends core/base/bad.h '#include <boost/optional.hpp>'
offends hv/stream/bad.cc '#include <spdlog/spdlog.h>'

begin "finds a circle of units"
source_file hv/agent/a.h '#include "hv/agent/b.h"'
source_file hv/agent/b.cc '#include "hv/agent/c.h"'
source_file hv/agent/c.h '#include "hv/agent/a.h"'
expect_code 1 "$check"
expect_said "hv/agent/a"
rm "$tree"/hv/agent/[abc].*

begin "finds a circle of calls in the module"
source_file guest/module/hadump.h '/* up.c */' 'void hadump_up(void);' '/* down.c: below */' 'int hadump_down(int *x);'
source_file guest/module/up.c 'void hadump_up(void) { hadump_down(0); }'
source_file guest/module/down.c 'int hadump_down(int *x) { return 0; }'
expect_code 0 "$check"
source_file guest/module/down.c 'int hadump_down(int *x) { hadump_up(); return 0; }'
expect_code 1 "$check"
expect_said "up.c"
rm "$tree"/guest/module/{up,down}.c

begin "fails for a directory that the table lacks, or that is gone, or a word that means none"
mkdir "$tree/hv/new"
offends hv/new/new.cc '#include "core/base/file.h"'
# shellcheck disable=SC2016  # Markdown.
table '| `hv/gone` | – | – |'
expect_code 1 "$check"
expect_said "hv/gone"
# shellcheck disable=SC2016
table '| `hv/new` | – | nothing |'
expect_code 1 "$check"
expect_said "'nothing'"

echo "all passed"
