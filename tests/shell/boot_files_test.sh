#!/bin/sh
# The other boot files: hooks ask for the module and survive its absence, the udev rule is one that
# udev takes, the unit is one that systemd takes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
boot=$here/../../guest/boot
PATH="$scratch/bin:$PATH"

begin "the initramfs hook adds the module"
echo 'manual_add_modules() { echo "add $*"; }' >"$scratch/functions"
HADUMP_HOOK_FUNCTIONS="$scratch/functions" expect_code 0 "$boot/initramfs-tools/hooks/hadump"
expect_said "add hadump"
expect_code 0 "$boot/initramfs-tools/hooks/hadump" prereqs

begin "the init-top script loads it"
stub modprobe 'exit 0'
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump"
expect_called "modprobe -q hadump"
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump" prereqs

begin "and the boot goes on without it"
stub modprobe 'exit 1'
expect_code 0 "$boot/initramfs-tools/scripts/init-top/hadump"

begin "it comes before udev"
functions=/usr/share/initramfs-tools/scripts/functions
if [ -e "$functions" ]; then
	mkdir -p "$scratch/init-top"
	cp "$boot/initramfs-tools/scripts/init-top/hadump" "$scratch/init-top/"
	for other in all_generic_ide blacklist keymap udev; do
		printf '#!/bin/sh\necho ""\n' >"$scratch/init-top/$other"
	done
	chmod +x "$scratch/init-top"/*
	cat >"$scratch/order" <<-ORDER
		initdir=$scratch/init-top
		. "$functions"
		set_initlist
		for script in \$initlist; do echo "\${script##*/}"; done
	ORDER
	expect_code 0 sh "$scratch/order"
	first=$(grep -xE 'hadump|udev' "$scratch/output" | head -n 1)
	[ "$first" = hadump ] || fail "udev would be first"
fi

begin "the dracut module installs module and hook"
cat >"$scratch/dracut" <<DRACUT
kernel=x moddir=$boot/dracut/90hadump
modinfo() { return 0; }
instmods() { echo "instmods \$*"; }
inst_hook() { echo "inst_hook \$*"; [ -x "\$3" ]; }
. "$boot/dracut/90hadump/module-setup.sh"
check && depends && installkernel && install
DRACUT
expect_code 0 bash "$scratch/dracut"
expect_said "instmods hadump"
expect_said "inst_hook pre-udev"

begin "systemd takes the unit"
if command -v systemd-analyze >/dev/null; then
	sed "s|^ExecStart=.*|ExecStart=/bin/true|;/^Documentation/d" "$boot/systemd/hadump-save.service" \
		>"$scratch/hadump-save.service"
	expect_code 0 systemd-analyze verify "$scratch/hadump-save.service"
	[ ! -s "$scratch/output" ] || fail "systemd complains"
fi

begin "every key of the example configuration is known"
export HADUMP_KERNEL_DIR="$scratch/kernel" HADUMP_RELEASE_REGION="$scratch/bin/release-region"
stub release-region 'exit 0'
: >"$scratch/kernel/release_region"
sed "s|^TARGET=.*|TARGET=$scratch/crash|" "$boot/release-region.conf" >"$scratch/conf"
HADUMP_CONF="$scratch/conf" expect_code 0 "$boot/hadump-save"
[ ! -s "$scratch/output" ] || fail "complains about its own example"

echo "all passed"
