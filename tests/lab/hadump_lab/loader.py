# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot loader as a guest's kernel: GRUB for PVH, with the Linux and the initrd that it boots inside.

A kernel that Xen starts by its PVH entry never randomises its memory layout (nobody sets KASLR_FLAG in
boot_params, arch/x86/platform/pvh/enlighten.c). One that a loader starts unpacks itself, and does.
"""

import subprocess
import tempfile
from pathlib import Path

_CONFIG = """linux (memdisk)/boot/vmlinuz {cmdline}
initrd (memdisk)/boot/initrd
boot
"""


def standalone(vmlinuz: Path, initrd: Path, cmdline: str, target: Path) -> None:
    """Writes a PVH kernel file."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "grub.cfg"
        config.write_text(_CONFIG.format(cmdline=cmdline), encoding="utf-8")
        subprocess.run(
            ["grub-mkstandalone", "-O", "i386-xen_pvh", "--locales=", "--fonts=", "--themes=",
             "-o", str(target), f"boot/grub/grub.cfg={config}", f"boot/vmlinuz={vmlinuz}",
             f"boot/initrd={initrd}"],
            check=True,
        )  # fmt: skip
