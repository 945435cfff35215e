# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system to build modules in, for kernels whose compiler this machine does not have.

It holds packages of the kernel's own suite: the compiler that the header packages ask for, what
their programs are linked with, and the tools that Kbuild calls.  Packages are unpacked into the
cache and nothing is installed; the links that their scripts would make are made here.
"""

import hashlib
import os
import subprocess
from pathlib import Path

from .deb_files import extract
from .errors import LabError
from .headers import Headers
from .packages import Archive, Package, say
from .paths import building, cache_dir, locked

_TOOLS = (
    "bash", "binutils", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "make",
    "mawk", "sed", "xz-utils",
)  # fmt: skip
# Called by maintainer scripts only.
_WITHOUT = (r"debconf.*", r"debianutils", r"dpkg", r"perl.*", r"base-files")
_MERGED = ("bin", "sbin", "lib", "lib64")
_LINKS = {"bin/sh": "dash", "bin/awk": "mawk"}  # Alternatives.
_PLACES = ("dev", "headers", "module", "proc")
# Mounts are the process's own and end with it.
_ENTER = """
mount --bind /dev/null "$1/dev/null"
mount --rbind /proc "$1/proc"
mount --bind "$2" "$1/headers"
mount --bind "$3" "$1/module"
exec chroot "$1" make -s -C /module "KDIR=/headers/$4"
"""


def make_module(headers: Headers, sources: Path, archive: Archive) -> None:
    """Builds in the directory `sources`, which has the module's Makefile."""
    root = _root(headers, archive)
    top = headers.tree.parents[2]
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]),
               "sh", "-euc", _ENTER, "sh", str(root), str(top), str(sources),
               str(headers.tree.relative_to(top))]  # fmt: skip
    done = subprocess.run(
        command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"building against {headers.tree.name} in {root}:\n{done.stdout[-3000:]}")


def _root(headers: Headers, archive: Archive) -> Path:
    # Backports are packages for their stable suite, which has all the rest.
    suite = headers.suite.removesuffix("-backports") if headers.suite else None
    packages = archive.closure({*_TOOLS, *headers.needs}, _WITHOUT, suite)
    final = cache_dir() / "buildroot" / _key(packages)
    with locked(cache_dir() / "buildroot.lock"):
        if not final.exists():
            debs = archive.fetch(packages)
            say(f"unpacking {len(packages)} packages to build {headers.tree.name} with")
            with building(final) as temporary:
                for name in _MERGED:
                    (temporary / "usr" / name).mkdir(parents=True)
                    (temporary / name).symlink_to(f"usr/{name}")
                for deb in debs:
                    extract(deb, temporary, ["--exclude=./usr/share/*"])
                for link, target in _LINKS.items():
                    if not (temporary / "usr" / link).exists():
                        (temporary / "usr" / link).symlink_to(target)
                for place in _PLACES:
                    (temporary / place).mkdir()
                (temporary / "dev" / "null").touch()
    return final


def _key(packages: list[Package]) -> str:
    text = "\n".join([*(package.sha256 for package in packages), *map(repr, (_LINKS, _PLACES))])
    return hashlib.sha256(text.encode()).hexdigest()[:20]
