#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The version stands in CMakeLists.txt, heads CHANGELOG.md, and stands nowhere else. Prints each offender.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/shell/tree_files.sh
. tests/shell/tree_files.sh

version=$(sed -n 's/^project(hadump VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$version" ] || { echo "CMakeLists.txt has no project(hadump VERSION …)"; exit 1; }

newest=$(sed -n 's/^## \([^ ]*\).*/\1/p' CHANGELOG.md | head -n 1)
[ "$newest" = "$version" ] || { echo "CHANGELOG.md begins with $newest, CMakeLists.txt has $version"; exit 1; }

mapfile -t files < <(tree_files | grep -vxE 'CMakeLists\.txt|CHANGELOG\.md|tests/shell/tree_test\.sh')
# Ours, and not another program's of the same number.
if grep -sniE "(hadump[a-z]*|release-region|version)[^0-9a-z]{1,4}${version//./\\.}([^0-9.]|\$)" -- "${files[@]}"; then
  echo "the version $version is repeated; CMakeLists.txt is its one place"
  exit 1
fi
