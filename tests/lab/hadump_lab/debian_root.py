# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Debian root file system: systemd, udev, initramfs-tools and a kernel, from packages.

Packages are only unpacked on this machine.  Their scripts run inside an emulated one.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .deb_files import extract
from .errors import LabError
from .images import STANDARD_KERNEL
from .kernel import Kernel, kernel
from .overlay import Overlay
from .packages import Archive, Package, say
from .paths import LAB_DIR, building, cache_dir, locked
from .plain import PlainConfig, PlainGuest

ROOT_LABEL = "debian-root"
_ROOT_BYTES = 6 << 30  # Sparse; a dump has to fit in as well.
_PACKAGES = (
    "base-files", "base-passwd", "bash", "bsdutils", "coreutils", "dash", "debianutils", "diffutils",
    "dpkg", "findutils", "grep", "gzip", "hostname", "init-system-helpers", "libc-bin", "login",
    "mount", "ncurses-base", "ncurses-bin", "perl-base", "sed", "sysvinit-utils", "tar",
    "util-linux",  # So far: essential.
    "systemd", "systemd-sysv", "udev", "initramfs-tools", "dracut-core", "kmod", "zstd", "e2fsprogs",
    "passwd", "mawk", "procps", "iproute2", "iputils-ping", "usr-is-merged",
)  # fmt: skip
# All of Perl and the conversion that needs it: perl-base is enough, and /usr is merged from the start.
_WITHOUT = (r"usrmerge", r"perl", r"perl-modules-.*", r"libperl.*")
# No machine here has these, and indexing modules is slow under emulation.
_UNWANTED = (
    "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*",
    *(f"./lib/modules/*/kernel/{name}/*" for name in (
        "sound", "drivers/gpu", "drivers/media", "drivers/staging", "drivers/iio",
        "drivers/infiniband", "drivers/net/wireless", "drivers/isdn", "drivers/bluetooth",
    )),
)  # fmt: skip
SCRIPTS = LAB_DIR / "debian"
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def base_root(archive: Archive, libraries: Iterable[str], spec: str = STANDARD_KERNEL) -> Path:
    """An ext4 image of the configured root, without an initramfs; cached, so never write to it.

    `libraries`: packages that the programs to be installed need.
    """
    kern = kernel(archive, spec)
    packages = archive.closure([*_PACKAGES, *libraries, spec, kern.package.name], _WITHOUT)
    final = cache_dir() / "debian" / f"base-{_key(packages)}"
    with locked(cache_dir() / "debian.lock"):
        if not final.exists():
            say(f"building a Debian root: Linux {kern.release}, {len(packages)} packages")
            with building(final) as temporary:
                tree = temporary / "tree"
                _unpack(archive.fetch(packages), packages, tree)
                image = temporary / "root.img"
                _make_image(tree, image)
                shutil.rmtree(tree)
                say("configuring the packages in an emulated machine")
                with chrooted(image, kern, 1024) as machine:
                    _, said = machine.exec("chroot /mnt /second-stage 2>&1", timeout=600)
                    (temporary / "second-stage.log").write_text(said, encoding="utf-8")
                    machine.exec("rm /mnt/second-stage")
    return final / "root.img"


@contextmanager
def chrooted(
    image: Path, kern: Kernel, memory_mib: int, overlay: Overlay | None = None
) -> Iterator[PlainGuest]:
    """An emulated machine with the image mounted at /mnt; it is unmounted and intact afterwards."""
    drive = f"if=virtio,format=raw,cache=unsafe,file={image}"
    # A plain processor and no mitigations: a third less time for what forks a lot.
    config = PlainConfig(
        memory_mib, kernel=kern.package.name, cmdline="mitigations=off", disk_gib=0, overlay=overlay,
        qemu=["-drive", drive, "-cpu", "qemu64"],
    )  # fmt: skip
    with PlainGuest.start(config) as machine:
        machine.wait_up(60)
        machine.exec("mkdir -p /mnt && mount -t ext4 -o noatime,nobarrier /dev/vda /mnt")
        yield machine
        machine.exec("umount /mnt && sync", timeout=120)
    done = subprocess.run(["e2fsck", "-fn", str(image)], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{image}: {done.stdout}{done.stderr}")


def _key(packages: list[Package]) -> str:
    digest = hashlib.sha256()
    for package in packages:
        digest.update(f"{package.name} {package.sha256}\n".encode())
    for path in (Path(__file__), SCRIPTS / "second-stage"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _unpack(debs: list[Path], packages: list[Package], tree: Path) -> None:
    """Files and dpkg's records of them: every package is "unpacked", none is configured."""
    for name in _MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    records = tree / "var" / "lib" / "dpkg"
    for folder in ("info", "updates", "triggers", "parts", "alternatives"):
        (records / folder).mkdir(parents=True)
    (records / "available").touch()
    status = []
    for package, deb in zip(packages, debs, strict=True):
        listing = _extract(deb, tree)
        control = tree.parent / "control"
        subprocess.run(["dpkg-deb", "-e", str(deb), str(control)], check=True)
        status.append(_record(package, control, tree))
        for path in control.iterdir():
            if path.name != "control":
                path.rename(records / "info" / f"{_info_name(control, package)}.{path.name}")
        name = f"{_info_name(control, package)}.list"
        (records / "info" / name).write_text(listing, encoding="utf-8")
        shutil.rmtree(control)
    (records / "status").write_text("\n".join(status), encoding="utf-8")
    script = SCRIPTS / "second-stage"
    shutil.copy(script, tree / script.name)
    (tree / "etc" / "fstab").write_text(
        f"LABEL={ROOT_LABEL} / ext4 noatime,errors=remount-ro 0 1\n", encoding="ascii"
    )
    (tree / "etc" / "hostname").write_text("debian\n", encoding="ascii")


def _extract(deb: Path, tree: Path) -> str:
    """Unpacks the files as root's, whoever runs this; returns their names as dpkg lists them."""
    unwanted = (f"--exclude={pattern}" for pattern in _UNWANTED)
    listing = extract(deb, tree, ["-v", "-p", "--wildcards", *unwanted])
    names = (line.removeprefix(".").rstrip("/") for line in listing.splitlines())
    return "\n".join([name or "/." for name in names] + [""])


def _fields(control: Path) -> str:
    return (control / "control").read_text(encoding="utf-8").strip("\n")


def _info_name(control: Path, package: Package) -> str:
    """dpkg names the records of a co-installable package with its architecture."""
    fields = _fields(control).splitlines()
    if "Multi-Arch: same" not in fields:
        return package.name
    (machine,) = (line.partition(": ")[2] for line in fields if line.startswith("Architecture: "))
    return f"{package.name}:{machine}"


def _record(package: Package, control: Path, tree: Path) -> str:
    lines = [_fields(control), "Status: install ok unpacked"]
    conffiles = control / "conffiles"
    if conffiles.exists():
        lines.append("Conffiles:")
        for name in conffiles.read_text(encoding="utf-8").split("\n"):
            path = tree / name.strip().lstrip("/")
            if name.startswith("/") and path.is_file():
                digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                lines.append(f" {name.strip()} {digest}")
    if package.name not in lines[0]:
        raise LabError(f"{package.name}: its control file is another package's")
    return "\n".join([*lines, ""])


def _make_image(tree: Path, image: Path) -> None:
    with open(image, "wb") as handle:
        handle.truncate(_ROOT_BYTES)
    options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-m", "0", "-L", ROOT_LABEL, "-E", options, "-d", str(tree),
         str(image)], check=True,
    )  # fmt: skip
