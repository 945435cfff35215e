#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# install_test.sh BUILD: what "cmake --install" gives a guest is what a distributor would package, at
# the places where Debian looks for it, and the module can be built from it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
build=$1
root=$scratch/root

begin "every file is where Debian looks for it"
DESTDIR=$root expect_code 0 cmake --install "$build" --component guest
cat >"$scratch/expected" <<'FILES'
644 /etc/hadump/release-region.conf
755 /etc/init.d/hadump-save
755 /etc/init.d/hadump-window
755 /usr/lib/dracut/modules.d/90hadump/hadump-load.sh
755 /usr/lib/dracut/modules.d/90hadump/hadump-rescue.sh
755 /usr/lib/dracut/modules.d/90hadump/module-setup.sh
755 /usr/lib/hadump/hadump-boot-memory
755 /usr/lib/hadump/hadump-memory
755 /usr/lib/hadump/hadump-rescue
755 /usr/lib/hadump/hadump-save
644 /usr/lib/hadump/held-pages.sh
644 /usr/lib/hadump/held-sysctls.sh
755 /usr/lib/hadump/kdump-savecore
644 /usr/lib/hadump/other-saver.sh
644 /usr/lib/hadump/save-conf.sh
644 /usr/lib/hadump/save-files.sh
644 /usr/lib/hadump/save-target.sh
644 /usr/lib/hadump/trusted-files.sh
644 /usr/lib/modules-load.d/hadump.conf
644 /usr/lib/systemd/system/hadump-boot-memory.service
644 /usr/lib/systemd/system/hadump-memory-wait.service
644 /usr/lib/systemd/system/hadump-memory.service
644 /usr/lib/systemd/system/hadump-memory.target
644 /usr/lib/systemd/system/hadump-save.service
644 /usr/lib/systemd/system/hadump-window.service
644 /usr/lib/systemd/system/kdump-tools-dump.service.d/hadump.conf
644 /usr/lib/systemd/system/kdump-tools.service.d/hadump.conf
644 /usr/lib/systemd/system/kdump.service.d/hadump.conf
644 /usr/lib/udev/rules.d/60-hadump.rules
755 /usr/sbin/release-region
755 /usr/share/initramfs-tools/hooks/hadump
755 /usr/share/initramfs-tools/scripts/init-bottom/hadump
755 /usr/share/initramfs-tools/scripts/init-top/hadump
644 /usr/share/man/man8/release-region.8
FILES
(cd "$root" && find . -type f ! -path './usr/src/*' -printf '%m /%P\n') | sort -k 2 >"$scratch/found"
diff -u "$scratch/expected" "$scratch/found" || fail "other files than expected"

begin "nothing of the host's side is among them"
DESTDIR=$scratch/host expect_code 0 cmake --install "$build" --component host
(cd "$scratch/host" && find . -type f -printf '/%P\n') >"$scratch/host-files"
while read -r _ file; do
	! grep -qxF "$file" "$scratch/host-files" || fail "$file is the host's as well"
done <"$scratch/found"

begin "what the admin has written into a configuration stays"
for file in release-region:guest:$root hadumpd:host:$scratch/host; do
	name=${file%%:*} component=${file#*:}
	where=${component#*:} component=${component%%:*}
	conf=$where/etc/hadump/$name.conf
	DESTDIR=$where expect_code 0 cmake --install "$build" --component "$component"
	[ ! -e "$conf.new" ] || fail "a second one of what nobody has changed"
	cp "$conf" "$scratch/shipped"
	echo "# mine" >"$conf"
	DESTDIR=$where expect_code 0 cmake --install "$build" --component "$component"
	[ "$(cat "$conf")" = "# mine" ] || fail "$conf is overwritten"
	cmp "$scratch/shipped" "$conf.new" || fail "the new one is not beside it"
	[ "$(stat -c %a "$conf.new")" = 644 ] || fail "$conf.new has another mode"
	expect_said "kept: $conf"
done

begin "DKMS finds a source of the version that its directory says"
source=$(echo "$root"/usr/src/hadump-*)
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$source/dkms.conf")
[ "${source##*/hadump-}" = "$version" ] || fail "dkms.conf says $version, the directory ${source##*/}"

begin "and builds the module from nothing else"
headers=$(find /usr/src -maxdepth 1 -name 'linux-headers-*' -exec test -e '{}/Module.symvers' \; -print | sort | head -n 1)
[ -n "$headers" ] || fail "no kernel headers in /usr/src"
# shellcheck disable=SC2016 # DKMS expands it.
make=$(sed -n 's/^MAKE\[0\]="\(.*\)"$/\1/p' "$source/dkms.conf" |
	sed "s|[$]kernel_source_dir|$headers|")
expect_code 0 sh -c "cd '$source' && $make"
[ -e "$source/hadump.ko" ] || fail "no module"

echo "all passed"
