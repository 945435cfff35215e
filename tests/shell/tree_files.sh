# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced by the checks of the tree itself: which files are ours.

# tree_files: every file that is in the repository or about to be added to it. git does not answer in
# somebody else's clone, nor in an unpacked archive; then everything counts but the build directory.
tree_files() {
  git ls-files --cached --others --exclude-standard 2>/dev/null ||
    find . \( -name build -o -name .git -o -name __pycache__ \) -prune -o -type f -printf '%P\n'
}
