#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# JSON becomes text in one way only: nlohmann's own dump() throws for names that are not UTF-8. Prints
# each offender.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/shell/tree_files.sh
. tests/shell/tree_files.sh

mapfile -t files < <(tree_files | grep -E '^(core|hv|userspace)/.*\.(cc|h)$' | grep -vx core/base/json_text.h)
[ ${#files[@]} -gt 0 ] || { echo "no sources found"; exit 1; }
if grep -nE '(\.|->)dump\(' -- "${files[@]}"; then
  echo "json_text() does this"
  exit 1
fi
