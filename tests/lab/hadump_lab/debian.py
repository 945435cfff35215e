# SPDX-License-Identifier: GPL-2.0-or-later
"""The product in a real Debian root, installed as the README says, and a guest that boots it."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import machine
from .debian_root import ROOT_LABEL, SCRIPTS, base_root, chrooted
from .errors import LabError
from .guest import Guest, GuestConfig, copy_from_ext4
from .kernel import Kernel, kernel
from .overlay import Overlay, shared_libraries
from .packages import Archive, say
from .paths import LAB_DIR, building, cache_dir, locked
from .product import build_dir, module_for, program
from .waiting import Seen

if TYPE_CHECKING:
    from .host import Host

GUEST_ADDRESS = "10.99.0.2/24"  # The first guest's on an emulated host.
# Its own kernel messages stay on the console; systemd's go to the journal alone.
CMDLINE = f"root=LABEL={ROOT_LABEL} ro systemd.show_status=false"
_UP_SECONDS = 200.0


@dataclass(frozen=True)
class Installed:
    """A root with the product in it.  Paths are in the cache and shared: read only."""

    image: Path
    initrd: Path  # By update-initramfs.
    dracut: Path
    kernel: Kernel
    log: Path  # What the installation said.


def staged(directory: Path) -> Path:
    """What "cmake --install" gives a guest, below a directory."""
    command = ["cmake", "--install", str(build_dir()), "--component", "guest", "--strip"]
    done = subprocess.run(
        command, text=True, capture_output=True, check=False,
        env=dict(os.environ, DESTDIR=str(directory)),
    )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}:\n{done.stderr}")
    return directory


def installed_root(
    archive: Archive,
    load: Path,
    spec: str,
    packages: Iterable[str] = (),
    programs: Iterable[Path] = (),
) -> Installed:
    """The root with the product installed as the README says; `load`: the lab's own program.

    `packages`, `programs` of this machine: that are there as well; they make a root of its own. A
    program is for a package that needs more than such a root has.
    """
    kern = kernel(archive, spec)
    ours = program("userspace/release_region/release-region")
    libraries = {name for path in (ours, *programs) for name in _library_packages(path)}
    base = base_root(archive, [*libraries, *packages], spec)
    scratch = machine.new_scratch()
    try:
        payload = staged(scratch / "payload")
        _add_module(payload, kern)
        _add_lab(payload, load)
        for path in programs:
            shutil.copy(path, payload / "usr" / "sbin" / path.name)
        final = cache_dir() / "debian" / f"installed-{_tree_key(base, payload)}"
        with locked(cache_dir() / "debian.lock"):
            if not final.exists():
                say("installing the product in the Debian root")
                with building(final) as temporary:
                    _install(base, payload, kern, temporary)
                _forget_older(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Installed(
        final / "root.img", final / "initrd.img", final / "dracut.img", kern, final / "install.log"
    )


class DebianGuest(Guest):
    """A guest that boots the root from its only disk."""

    mount_point = "/"

    def __init__(self, host: "Host", config: GuestConfig, slot: int, installed: Installed) -> None:
        super().__init__(host, config, slot)
        self.installed = installed
        self.initrd = installed.initrd

    def wait_up(self, timeout: float = _UP_SECONDS, since: int = 0) -> Seen:
        """As every guest's, with more patience: systemd takes its time under emulation."""
        return super().wait_up(max(timeout, _UP_SECONDS), since)

    def get_from_disk(self, path: str, local: Path) -> None:
        """As every guest's: `path` is below /var/crash, which is a directory of the root here."""
        copy_from_ext4(self.disk_image, f"var/crash/{path}", local)

    def _put_files(self, address: str) -> str:
        # In place: the emulated host has the file open.
        source, target = str(self.installed.image), str(self.disk_image)
        subprocess.run(["cp", "--sparse=always", source, target], check=True)
        self.host.put(self.initrd, f"{self.directory}/initrd")
        return self._put_kernel(self.installed.kernel)


def _install(base: Path, payload: Path, kern: Kernel, target: Path) -> None:
    image = target / "root.img"
    subprocess.run(["cp", "--sparse=always", str(base), str(image)], check=True)
    with chrooted(image, kern, 1024, Overlay().directory(payload.parent)) as plain:
        plain.exec("cp -a /payload/. /mnt/", timeout=120)
        command = f"chroot /mnt /usr/lib/hadump-lab/install {kern.release} 2>&1"
        status, said = plain.exec(command, timeout=900, check=False)
        (target / "install.log").write_text(said, encoding="utf-8")
        if status != 0:
            raise LabError(f"installing in the Debian root:\n{said[-4000:]}")
    copy_from_ext4(image, f"boot/initrd.img-{kern.release}", target / "initrd.img")
    copy_from_ext4(image, f"boot/dracut-{kern.release}.img", target / "dracut.img")


def _add_module(payload: Path, kern: Kernel) -> None:
    """Where and how "dkms install" puts it: there is no compiler in the guest."""
    place = payload / "usr" / "lib" / "modules" / kern.release / "updates" / "dkms"
    place.mkdir(parents=True)
    shutil.copy(module_for(kern), place / "hadump.ko")
    subprocess.run(["strip", "--strip-debug", str(place / "hadump.ko")], check=True)


def _add_lab(payload: Path, load: Path) -> None:
    files = {
        "usr/lib/hadump-lab/install": SCRIPTS / "install",
        "usr/lib/hadump-lab/debian-agent": SCRIPTS / "agent",
        "usr/lib/hadump-lab/guest-agent": LAB_DIR / "images" / "guest-agent",
        "usr/local/sbin/lab-load": load,
        "etc/systemd/system/hadump-lab.service": SCRIPTS / "agent.service",
    }
    for name, source in files.items():
        (payload / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, payload / name)
    network = payload / "etc" / "systemd" / "network" / "lab.network"
    network.parent.mkdir(parents=True)
    network.write_text(
        f"[Match]\nName=e*\n\n[Network]\nAddress={GUEST_ADDRESS}\nLinkLocalAddressing=no\n",
        encoding="ascii",
    )


def _library_packages(binary: Path) -> list[str]:
    """The packages of this machine that a program's libraries are from."""
    found = set()
    for path in shared_libraries(binary).values():
        names = {str(path), str(path.resolve())}
        names |= {name.removeprefix("/usr") for name in names} | {f"/usr{name}" for name in names}
        done = subprocess.run(
            ["dpkg-query", "-S", *sorted(names)], text=True, capture_output=True, check=False
        )
        owners = {line.partition(":")[0] for line in done.stdout.splitlines()}
        if not owners:
            raise LabError(f"{path} is from no package")
        found |= owners
    return sorted(found)


def _tree_key(base: Path, tree: Path) -> str:
    digest = hashlib.sha256(str(base).encode())
    for path in sorted(tree.rglob("*")):
        digest.update(f"{path.relative_to(tree)} {path.lstat().st_mode:o}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _forget_older(current: Path) -> None:
    """Every build of the product makes an image of half a gigabyte; the last two are enough."""
    images = sorted(current.parent.glob("installed-*"), key=lambda path: path.stat().st_mtime)
    for path in images[:-2]:
        if path != current:
            shutil.rmtree(path, ignore_errors=True)
