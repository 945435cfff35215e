# SPDX-License-Identifier: GPL-2.0-or-later
"""The two boot images: dom0's (hypervisor, kernel, initramfs) and the guests' initrd."""

import gzip
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cpio import Tree
from .errors import LabError
from .kernel import Kernel, kernel
from .packages import Archive, Package, say
from .paths import LAB_DIR, building, cache_dir

STANDARD_KERNEL = "linux-image-amd64"
CLOUD_KERNEL = "linux-image-cloud-amd64"

_DOM0_PACKAGES = (
    "xenstore-utils", "xen-utils-common", "bash", "dash", "coreutils", "sed", "grep", "mawk",
    "findutils", "util-linux", "mount", "iproute2", "kmod", "e2fsprogs", "strace", "libstdc++6",
)  # fmt: skip
# What needs maintainer scripts, an interpreter, or is of no use in an initramfs.
_DOM0_WITHOUT = (
    r"perl.*", r"python3?.*", r"debconf.*", r"ucf", r"udev", r"init-system-helpers", r"adduser",
    r"sysvinit-utils", r"lsb-base", r"dpkg", r"tar", r"base-files", r"gcc-.*-base", r"libpam.*",
    r"logsave", r"libc-bin", r"sensible-utils", r"util-linux-extra", r"libcap2-bin", r"debianutils",
    r"install-info", r"passwd", r"login.*", r"bsdutils",
)  # fmt: skip
_DOM0_MODULES = (
    "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "virtio_pci", "virtio_blk",
    "virtio_console",    "9pnet_virtio", "9p", "ext4", "crc32c_generic", "loop", "bridge", "xen-netback", "xen-blkback", "fuse",
)  # fmt: skip
_GUEST_REQUIRED = ("xen-blkfront", "xen-netfront", "ext4")
_GUEST_MODULES = (
    "virtio_pci", "virtio_blk", "virtio_net", "virtio_mmio", "crc32c_generic", "crc32c-intel", "loop",
    "xen-gntalloc", "xen-gntdev", "xen-evtchn",
)  # fmt: skip
# Read when this code is: a tree that changes meanwhile must not name an image that it did not make.
_RECIPE = b"".join(
    path.read_bytes()
    for path in sorted(
        [*(LAB_DIR / "images").iterdir(), Path(__file__), Path(__file__).with_name("cpio.py")]
    )
)
_POWER_COMMANDS = ("poweroff", "reboot", "halt")


@dataclass(frozen=True)
class Dom0Image:
    """What QEMU needs to start the host."""

    hypervisor: Path
    kernel: Path
    initramfs: Path


@dataclass(frozen=True)
class GuestImage:
    """What a guest boots: `kernel` in both forms, and an uncompressed initrd to append to."""

    kernel: Kernel
    initrd: Path


def dom0_image(archive: Archive) -> Dom0Image:
    """Builds the image unless the cache holds it for the packages that apt offers now."""
    hypervisor, utils = _xen_packages(archive)
    packages = archive.closure([utils.name, *_DOM0_PACKAGES], _DOM0_WITHOUT)
    kern = kernel(archive, STANDARD_KERNEL)
    final = cache_dir() / "dom0" / _key([*packages, hypervisor, kern.package, _busybox(archive)])
    if not final.exists():
        archive.fetch(packages)
        say(f"building the dom0 image: Linux {kern.release}, {len(packages)} packages")
        with building(final) as temporary:
            (image,) = (archive.unpack(hypervisor) / "boot").glob("xen-*-amd64.gz")
            (temporary / "xen").write_bytes(gzip.decompress(image.read_bytes()))
            shutil.copy(kern.vmlinuz, temporary / "vmlinuz")
            with open(temporary / "initramfs.cpio", "wb") as output:
                _dom0_tree(archive, packages, kern).write(output)
    return Dom0Image(final / "xen", final / "vmlinuz", final / "initramfs.cpio")


def guest_image(archive: Archive, kernel_spec: str = STANDARD_KERNEL) -> GuestImage:
    """Builds the initrd for one kernel package unless the cache holds it."""
    kern = kernel(archive, kernel_spec)
    final = cache_dir() / "guest" / f"{kern.release}-{_key([kern.package, _busybox(archive)])}"
    if not final.exists():
        say(f"building the guest image: Linux {kern.release}")
        with building(final) as temporary:
            with open(temporary / "initrd.cpio", "wb") as output:
                _guest_tree(archive, kern).write(output)
    return GuestImage(kern, final / "initrd.cpio")


def _xen_packages(archive: Archive) -> tuple[Package, Package]:
    """The hypervisor and its tools: their names carry Xen's version, a meta package has them."""
    names = archive.resolve("xen-system-amd64").depends
    try:
        hypervisor = next(name for name in names if name.startswith("xen-hypervisor-4"))
        utils = next(name for name in names if name.startswith("xen-utils-4"))
    except StopIteration as error:
        raise LabError(f"xen-system-amd64 depends on {names}: no hypervisor or tools") from error
    return archive.resolve(hypervisor), archive.resolve(utils)


def _busybox(archive: Archive) -> Package:
    return archive.resolve("busybox-static")


def _key(packages: list[Package]) -> str:
    """Changes with every package's content and with the lab's own recipe."""
    digest = hashlib.sha256()
    for package in sorted(packages, key=lambda package: package.name):
        digest.update(f"{package.name} {package.sha256}\n".encode())
    digest.update(_RECIPE)
    return digest.hexdigest()[:20]


def _add_busybox(archive: Archive, tree: Tree) -> None:
    """Every applet whose name is still free becomes a link."""
    binary = archive.unpack(_busybox(archive)) / "bin" / "busybox"
    tree.file("bin/busybox", binary, 0o755)
    listing = _applets(binary)
    for applet in listing:
        folders = ("bin", "sbin", "usr/bin", "usr/sbin")
        if not any(f"{folder}/{applet}" in tree for folder in folders):
            tree.symlink(f"bin/{applet}", "/bin/busybox")


def _applets(binary: Path) -> list[str]:
    done = subprocess.run([binary, "--list"], text=True, capture_output=True, check=True)
    return done.stdout.split()


def _wanted_in_dom0(path: str) -> bool:
    parts = path.split("/")
    unwanted = {"share", "locale", "gconv", "debug", "engines-3", "ossl-modules", "python",
                "dist-packages", "python3", "systemd", "debug"}  # fmt: skip
    return not unwanted & set(parts[:-1]) and parts[-1] != "xen-shim" and parts[0] != "boot"


def _dom0_tree(archive: Archive, packages: list[Package], kern: Kernel) -> Tree:
    tree = Tree(merged_usr=True)
    for package in packages:
        tree.add_tree(archive.unpack(package), _wanted_in_dom0)
    tree.add_tree(kern.modules(_DOM0_MODULES, required=_DOM0_MODULES))
    tree.symlink("bin/sh", "dash")
    tree.symlink("bin/awk", "mawk")
    _add_busybox(archive, tree)
    for folder in ("dev", "proc", "sys", "run", "share", "scratch", "root", "tmp", "boot",
                   "var/lib/xen", "var/lib/xenstored", "var/log/xen", "etc/xen"):  # fmt: skip
        tree.directory(folder)
    tree.symlink("var/run", "/run")
    tree.symlink("var/lock", "/run/lock")
    tree.file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    tree.file("etc/group", "root:x:0:\n")
    tree.file("etc/hosts", "127.0.0.1 localhost dom0\n")
    tree.file("init", LAB_DIR / "images" / "dom0-init", 0o755)
    tree.file("usr/lib/hadump-lab/dom0-agent", LAB_DIR / "images" / "dom0-agent", 0o755)
    for script in ("quick-block", "quick-vif"):
        tree.file(f"etc/xen/scripts/{script}", LAB_DIR / "images" / script, 0o755)
    return tree


def _guest_tree(archive: Archive, kern: Kernel) -> Tree:
    tree = Tree(merged_usr=True)
    for command in _POWER_COMMANDS:
        tree.file(f"sbin/{command}", LAB_DIR / "images" / "guest-poweroff", 0o755)
    tree.symlink("sbin/modprobe", "/bin/busybox")  # Where the kernel looks for it.
    _add_busybox(archive, tree)
    tree.add_tree(kern.modules(_GUEST_MODULES, required=_GUEST_REQUIRED))
    for folder in ("dev", "proc", "sys", "run", "root", "tmp", "var/crash", "var/log", "etc"):
        tree.directory(folder)
    tree.symlink("var/run", "/run")
    tree.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    tree.file("etc/group", "root:x:0:\n")
    tree.file("etc/hostname", "guest\n")
    tree.file("init", LAB_DIR / "images" / "guest-init", 0o755)
    tree.file("usr/lib/hadump-lab/guest-agent", LAB_DIR / "images" / "guest-agent", 0o755)
    return tree
