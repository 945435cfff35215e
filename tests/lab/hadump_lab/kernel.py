# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian kernel package: its image in both forms, and the modules that are wanted from it."""

import bz2
import gzip
import hashlib
import lzma
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .packages import Archive, Package, say
from .paths import building, cache_dir, locked

# Offsets in the boot protocol's setup header (Documentation/arch/x86/boot.rst).
_SETUP_SECTS = 0x1F1
_PAYLOAD_OFFSET = 0x248
_PAYLOAD_LENGTH = 0x24C


@dataclass(frozen=True)
class Kernel:
    """Paths are in the cache and shared: read only."""

    package: Package
    release: str
    vmlinuz: Path
    vmlinux: Path  # Uncompressed ELF: Xen starts it 15 s sooner than the compressed image.
    tree: Path  # What is unpacked of the package; lib/modules is there.

    def modules(self, names: Iterable[str], required: Iterable[str] = ()) -> Path:
        """A directory with lib/modules/RELEASE holding `names`, what they need, and indexes.

        Modules are uncompressed there, for BusyBox.  A name that is built in is left out, and so is
        one that this kernel does not have, unless it is `required`.
        """
        wanted = sorted({_canonical(name) for name in [*names, *required]})
        key = hashlib.sha256(repr((self.package.sha256, wanted)).encode()).hexdigest()[:16]
        final = cache_dir() / "modules" / f"{self.release}-{key}"
        if final.exists():
            return final
        files, missing = self._closure(wanted)
        lacking = missing & {_canonical(name) for name in required}
        if lacking:
            raise LabError(f"kernel {self.release} has no module {', '.join(sorted(lacking))}")
        with building(final) as temporary:
            source = self.tree / "lib" / "modules" / self.release
            target = temporary / "lib" / "modules" / self.release
            for path in files:
                _copy_module(source / path, target / path)
            for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
                if (source / index).exists():
                    shutil.copy(source / index, target / index)
            subprocess.run(["depmod", "-b", str(temporary), self.release], check=True)
        return final

    def _closure(self, names: list[str]) -> tuple[list[str], set[str]]:
        depends = _module_dependencies(self)
        by_name = {_canonical(Path(path).name.partition(".ko")[0]): path for path in depends}
        builtin_file = self.tree / "lib" / "modules" / self.release / "modules.builtin"
        builtin = {
            _canonical(Path(line).name.removesuffix(".ko"))
            for line in builtin_file.read_text(encoding="ascii").split()
        }
        missing = {name for name in names if name not in by_name and name not in builtin}
        found = [by_name[name] for name in names if name in by_name]
        needed = {path for first in found for path in [first, *depends[first]]}
        return sorted(needed), missing


def kernel(archive: Archive, spec: str) -> Kernel:
    """`spec` names a kernel or a meta package: NAME or NAME/SUITE."""
    package = archive.resolve(spec)
    for _ in range(4):  # Meta packages may point at meta packages.
        tree = _tree(archive, package)
        # Newer packages leave it to their scripts to copy the image to /boot.
        for image in [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]:
            release = image.name.removeprefix("vmlinuz-")
            if release == image.name:
                release = image.parent.name
            merged_usr = not (tree / "lib" / "modules").exists()
            return Kernel(
                package, release, image, _vmlinux(image, release, package),
                tree / "usr" if merged_usr else tree,
            )  # fmt: skip
        following = [name for name in package.depends if name.startswith("linux-image-")]
        if not following:
            break
        package = archive.resolve(
            f"{following[0]}/{package.suite}" if package.suite else following[0]
        )
    raise LabError(f"{spec} leads to no package with a kernel")


_PARTS = re.compile(r"linux-(base|binary|modules)-\d")


def _tree(archive: Archive, package: Package) -> Path:
    """The package unpacked; newer ones are spread over several, which are merged."""
    names = [name for name in package.depends if _PARTS.match(name)]
    if not names:
        return archive.unpack(package)
    final = cache_dir() / "trees" / f"{package.name}_{package.sha256[:16]}+parts"
    with locked(cache_dir() / "trees.lock"):
        if not final.exists():
            debs = archive.fetch(archive.show(names, package.suite).values())
            say(f"unpacking {package.name} {package.version}")
            with building(final) as temporary:
                for deb in debs:
                    subprocess.run(["dpkg-deb", "-x", str(deb), str(temporary)], check=True)
    return final


def extract_vmlinux(image: bytes) -> bytes:
    """The ELF file inside a bzImage."""
    if image[0x202:0x206] != b"HdrS":
        raise LabError("the kernel image has no boot protocol header")
    base = (image[_SETUP_SECTS] + 1) * 512
    (offset,) = struct.unpack_from("<I", image, _PAYLOAD_OFFSET)
    (length,) = struct.unpack_from("<I", image, _PAYLOAD_LENGTH)
    payload = image[base + offset : base + offset + length]
    for magic, unpack in _DECOMPRESSORS.items():
        if payload.startswith(magic):
            elf = unpack(payload)
            if elf.startswith(b"\x7fELF"):
                return elf
    raise LabError(f"the kernel's payload starts with {payload[:6].hex()}: no known compression")


def _unxz(payload: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)


def _filter(*command: str) -> Callable[[bytes], bytes]:
    # The payload ends with its uncompressed size, which these programs report as trailing garbage.
    def run(payload: bytes) -> bytes:
        return subprocess.run(command, input=payload, capture_output=True, check=False).stdout

    return run


def _gunzip(payload: bytes) -> bytes:
    return gzip.decompress(payload[:-4])


_DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\0": _unxz,
    b"\x1f\x8b\x08": _gunzip,
    b"\x28\xb5\x2f\xfd": _filter("zstd", "-dc"),
    b"\x02\x21\x4c\x18": _filter("lz4", "-dc"),
    b"BZh": lambda payload: bz2.BZ2Decompressor().decompress(payload),
}


_DEPENDENCY_LINE = re.compile(r"^kernel/\S+\.ko(\.\w+)?:")


def _vmlinux(vmlinuz: Path, release: str, package: Package) -> Path:
    final = cache_dir() / "vmlinux" / f"vmlinuz-{release}-{package.sha256[:16]}"
    if not (final / "vmlinux").exists():
        say(f"extracting vmlinuz-{release}")
        with building(final) as temporary:
            (temporary / "vmlinux").write_bytes(extract_vmlinux(vmlinuz.read_bytes()))
    return final / "vmlinux"


def _module_dependencies(kern: Kernel) -> dict[str, list[str]]:
    """Module file -> the files it needs, relative to lib/modules/RELEASE."""
    final = cache_dir() / "depmod" / f"{kern.release}-{kern.package.sha256[:16]}"
    if not final.exists():
        # A dry run prints every index; the package's tree is shared and stays as it is.
        command = ["depmod", "-n", "-b", str(kern.tree), kern.release]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        lines = (line for line in done.stdout.splitlines() if _DEPENDENCY_LINE.match(line))
        with building(final) as temporary:
            (temporary / "modules.dep").write_text("\n".join(lines), encoding="ascii")
    text = (final / "modules.dep").read_text(encoding="ascii")
    pairs = (line.split(":") for line in text.splitlines())
    return {path: needed.split() for path, needed in pairs}


def _copy_module(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
    elif source.suffix == ".zst":
        command = ["zstd", "-dq", str(source), "-o", str(target.with_suffix(""))]
        subprocess.run(command, check=True)
    else:
        shutil.copy(source, target)


def _canonical(name: str) -> str:
    return re.sub("-", "_", name)
