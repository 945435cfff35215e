#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Lines of documents have at most 120 columns. A row of a table cannot be wrapped, nor can a long link.
# Links to files of the tree lead somewhere. A heading of a man page is in capitals, and an empty line
# follows it. README.md names what a build needs. Prints each offender.
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
# Otherwise who wraps the lines joins heading and text.
mapfile -t pages < <(printf '%s\n' "${documents[@]}" | grep '^docs/man/' || :)
if [ ${#pages[@]} -gt 0 ] && awk 'FNR == 1 { heading = "" }
    heading != "" && $0 != "" { print heading; found = 1 }
    { heading = /^#/ ? FILENAME ":" FNR ": " $0 : "" }
    /^# .*[a-z]/ { print heading; found = 1 }
    END { exit !found }' "${pages[@]}"; then
  echo "text in a heading, or no empty line after it"
  bad=1
fi
# What a compiler does not need: the cache, a faster linker, git, man, and what others depend on.
while read -r package; do
  grep -qwF -- "$package" README.md || { echo "README.md does not name the package $package"; bad=1; }
done < <(awk '$1 == "build" { print $2 }' tests/setup/packages.txt | grep -vxE 'ccache|mold|git|man-db|libfmt-dev|libxencall1')
exit $bad
