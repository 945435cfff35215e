#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The checks of the tree itself (licences.sh …) find an offender, with git and without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

tree=$scratch/tree
mkdir -p "$tree/tests/shell" "$tree/tests/setup" "$tree/core/abi" "$tree/guest/module" "$tree/build" "$tree/docs/man"
cp "$here/tree_files.sh" "$here/licences.sh" "$here/version.sh" "$here/json.sh" "$here/documents.sh" "$tree/tests/shell"
PATH=$scratch/bin:$PATH
stub git 'exit 128'
stub reuse 'exit 0'
tag='SPDX-License-Identifier''' # Not a tag of this file.

printf '# %s: GPL-2.0-or-later\nbuild   cmake\nbuild   git\nguest   kmod\n' "$tag" >"$tree/tests/setup/packages.txt"

begin "licences: every source with the licence of its directory"
echo "// $tag: GPL-2.0-or-later" >"$tree/core/file.cc"
echo "/* $tag: GPL-2.0-only OR MIT */" >"$tree/core/abi/abi.h"
printf '#!/bin/sh\n# %s: GPL-2.0-only\n' "$tag" >"$tree/guest/module/make.sh"
echo "no line" >"$tree/build/made.cc"
echo "no line" >"$tree/docs/text.md"
expect_code 0 "$tree/tests/shell/licences.sh"
expect_called "reuse --root"

begin "licences: a source without a line"
echo "int main() {}" >"$tree/core/bare.cc"
: >"$tree/core/empty.cc"
expect_code 1 "$tree/tests/shell/licences.sh"
expect_said "core/bare.cc"
expect_said "core/empty.cc"
rm "$tree/core/bare.cc" "$tree/core/empty.cc"

begin "licences: another licence than its directory's"
echo "/* $tag: GPL-2.0-only */" >"$tree/core/abi/wrong.h"
expect_code 1 "$tree/tests/shell/licences.sh"
expect_said 'core/abi/wrong.h: its licence is "GPL-2.0-only", expected "GPL-2.0-only OR MIT"'
rm "$tree/core/abi/wrong.h"

begin "licences: what reuse refuses"
stub reuse 'echo "Missing licenses: MIT"; exit 1'
expect_code 1 "$tree/tests/shell/licences.sh"
expect_said "Missing licenses: MIT"

begin "json: nothing becomes text by itself"
mkdir -p "$tree/hv"
echo 'auto text = json_text(json);' >"$tree/hv/good.cc"
expect_code 0 "$tree/tests/shell/json.sh"
echo 'out << json.dump(2);' >"$tree/hv/bad.cc"
expect_code 1 "$tree/tests/shell/json.sh"
expect_said "hv/bad.cc:1"
rm -r "$tree/hv"

begin "version: in CMakeLists.txt, and heading the changes"
echo 'project(hadump VERSION 1.20.3 LANGUAGES C)' >"$tree/CMakeLists.txt"
printf '# Changes\n\n## 1.20.3 (not released)\n\n## 1.20.2\n' >"$tree/CHANGELOG.md"
echo 'makedumpfile 1.20.3, hadump 1.20.31' >"$tree/docs/text.md"
expect_code 0 "$tree/tests/shell/version.sh"

begin "version: repeated somewhere else"
echo 'dkms install hadump/1.20.3 &&' >"$tree/docs/text.md"
expect_code 1 "$tree/tests/shell/version.sh"
expect_said "docs/text.md:1"
rm "$tree/docs/text.md"

begin "version: without a heading of its own in the changes"
echo 'project(hadump VERSION 1.20.4 LANGUAGES C)' >"$tree/CMakeLists.txt"
expect_code 1 "$tree/tests/shell/version.sh"
expect_said "CHANGELOG.md"

begin "documents: long rows of tables and links are accepted"
long=$(printf 'word %.0s' {1..25})
{ echo "| $long |"; echo "https://example.org/${long// /-}"; printf 'é%.0s' {1..120}; echo; } >"$tree/docs/text.md"
echo "[text](docs/text.md#part) [elsewhere](https://example.org/x) apt install cmake" >"$tree/README.md"
printf '%% x 8\n\n# EXIT STATUS\n\n0 success\n' >"$tree/docs/man/x.8.md"
expect_code 0 "$tree/tests/shell/documents.sh"

begin "documents: a long line, and a link to nothing"
printf 'é%.0s' {1..121} >>"$tree/docs/text.md"
echo "[gone](docs/gone.md)" >>"$tree/README.md"
expect_code 1 "$tree/tests/shell/documents.sh"
expect_said "docs/text.md:4"
expect_said "README.md: nothing is at docs/gone.md"
echo >"$tree/docs/text.md"

begin "documents: a man page whose heading and text are, or can become, one"
echo "apt install cmake" >"$tree/README.md"
expect_code 0 "$tree/tests/shell/documents.sh"
for text in '# EXIT STATUS 0 success\n\n1 failed\n' '# EXIT STATUS\n0 success\n'; do
	# shellcheck disable=SC2059
	printf "%% x 8\n\n$text" >"$tree/docs/man/x.8.md"
	expect_code 1 "$tree/tests/shell/documents.sh"
	expect_said "docs/man/x.8.md:3: # EXIT STATUS"
done
rm "$tree/docs/man/x.8.md"

begin "documents: a package that a build needs, and README.md does not name"
echo 'build   libfuse3-dev' >>"$tree/tests/setup/packages.txt"
expect_code 1 "$tree/tests/shell/documents.sh"
expect_said "README.md does not name the package libfuse3-dev"

echo "all passed"
