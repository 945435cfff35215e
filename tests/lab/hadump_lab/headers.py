# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module is built against: a kernel's header packages, unpacked side by side in the cache.

They are not installed: a newer kernel's headers depend on its image, whose scripts would make an
initramfs for a machine that will never boot it.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .kernel import Kernel
from .packages import Archive, Package, say
from .paths import building, cache_dir, locked

_PARTS = re.compile(r"linux-(headers|kbuild)-")
_KERNEL = re.compile(r"linux-")  # The parts, and the kernel itself.
_INSTALLED = Path("/usr/src")


_COMPILER = re.compile(r"^CC\b.*?(gcc-[\d.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Headers:
    """In the cache and shared, or installed: read only."""

    tree: Path  # For Kbuild's -C.
    needs: tuple[str, ...] = ()  # Packages that it needs beside its own; installed: are there.
    suite: str | None = None

    def has_compiler(self) -> bool:
        """Whether this machine has the compiler that the kernel was built with.

        Where it has, its C library is new enough for the tree's own programs, too.
        """
        found = _COMPILER.search((self.tree / ".kernelvariables").read_text(encoding="ascii"))
        return not found or shutil.which(found.group(1)) is not None


def headers_for(kern: Kernel, archive: Archive) -> Headers:
    """The installed ones, or else some that are unpacked in the cache."""
    name = f"linux-headers-{kern.release}"
    if (_INSTALLED / name / "Module.symvers").exists():
        return Headers(_INSTALLED / name)
    packages = _packages(name, kern.package.suite, archive)
    final = cache_dir() / "headers" / f"{name}-{packages[0].sha256[:16]}"
    tree = final / "usr" / "src" / name
    with locked(cache_dir() / "headers.lock"):
        if not final.exists():
            debs = archive.fetch(packages)
            say(f"unpacking {name}")
            with building(final) as temporary:
                for deb in debs:
                    subprocess.run(["dpkg-deb", "-x", str(deb), str(temporary)], check=True)
                # Its Makefile is one line that includes the common one by its absolute path.
                makefile = temporary / tree.relative_to(final) / "Makefile"
                text = makefile.read_text(encoding="ascii")
                makefile.write_text(
                    text.replace("/usr/src/", "$(dir $(lastword $(MAKEFILE_LIST)))../"),
                    encoding="ascii",
                )
    needs = {need for package in packages for need in package.depends if not _KERNEL.match(need)}
    return Headers(tree, tuple(sorted(needs)), kern.package.suite)


def _packages(name: str, suite: str | None, archive: Archive) -> list[Package]:
    """The package `name` first, then those of its dependencies that hold parts of the tree."""
    found = archive.show([name], suite)
    if name not in found:
        raise LabError(f"apt knows no package {name!r}; does 'apt-get update' help?")
    parts = [part for part in found[name].depends if _PARTS.match(part)]
    return [found[name], *archive.show(parts, suite).values()]
