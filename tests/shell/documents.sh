#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Lines of documents have at most 120 columns. A row of a table cannot be wrapped, nor can a long link.
# Links to files of the tree lead somewhere. Prints each offender.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/shell/tree_files.sh
. tests/shell/tree_files.sh

mapfile -t documents < <(tree_files | grep '\.md$')
[ ${#documents[@]} -gt 0 ] || { echo "no documents found" >&2; exit 1; }

bad=0
# Columns, not bytes, whatever the caller's locale.
if LC_ALL=C.UTF-8 grep -HnE '^.{121,}' -- "${documents[@]}" | grep -vE '^[^:]+:[0-9]+:(\||[^ ]*https?://[^ ]*$)'; then
  echo "longer than 120 columns"
  bad=1
fi
while IFS=: read -r document link; do
  [ -e "$(dirname "$document")/$link" ] || { echo "$document: nothing is at $link"; bad=1; }
done < <(grep -HoE '\]\([^)#: ]+[)#]' -- "${documents[@]}" | sed 's/:\](/:/; s/[)#]$//')
exit $bad
