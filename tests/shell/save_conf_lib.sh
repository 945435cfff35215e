# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the tests of hadump-save's configuration, with $here, and $tool: release-region, which judges values.
# shellcheck shell=sh disable=SC2034,SC2154
umask 022
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

saver=$here/../../guest/boot/hadump-save
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_CONF="$scratch/conf"
export HADUMP_RELEASE_REGION="$scratch/bin/release-region" HADUMP_DEFAULT_TARGET="$scratch/default"
: >"$scratch/kernel/release_region"
: >"$scratch/kernel/hadump/release_mem"
mkdir "$scratch/default"
# Everything but a save itself is release-region's own. The scratch directory may be in memory.
stub_saves() {
	stub release-region "case \" \$* \" in
		*' --check --volatile-target '*) exec '$tool' \"\$@\" ;;
		*' --check '*) exec '$tool' \"\$@\" --volatile-target ;;
	esac"
}
stub_saves

conf() {
	printf '%s\n' "TARGET=$scratch/crash" "$@" >"$HADUMP_CONF"
}

defaults="--format kdump --compress lzo --dump-level 1 --portion 256M"
