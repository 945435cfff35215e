# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the build tree, with the shared libraries they need, for a guest or for dom0."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .cpio import Tree
from .errors import LabError
from .paths import building, cache_dir, locked

# The guest has no C library of its own, so it gets the loader where programs look for it.
_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def shared_libraries(program: Path) -> dict[str, Path]:
    """Name -> file of every library that `program` needs here, the loader included."""
    done = subprocess.run(["ldd", str(program)], text=True, capture_output=True, check=False)
    if "statically linked" in done.stdout or "not a dynamic executable" in done.stderr:
        return {}
    lost = re.findall(r"(\S+) => not found", done.stdout)
    if done.returncode != 0 or lost:
        raise LabError(f"{program}: {done.stderr.strip() or 'missing ' + ', '.join(lost)}")
    found = re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(0x", done.stdout, re.MULTILINE)
    return {Path(name or path).name: Path(path) for name, path in found}


def stripped(binary: Path) -> Path:
    """The same without debug information, as packages and DKMS install it: a tenth of the bytes, which
    dom0 and every boot of a guest have to read under emulation.
    """
    binary = binary.resolve()
    content = hashlib.sha256(binary.read_bytes()).hexdigest()[:20]
    final = cache_dir() / "stripped" / content
    with locked(cache_dir() / "stripped.lock"):
        if not final.exists():
            with building(final) as temporary:
                target = temporary / binary.name
                subprocess.run(["strip", "--strip-debug", "-o", target, binary], check=True)
    (made,) = final.iterdir()
    return made


@dataclass
class Overlay:
    """Files for a guest's initrd, collected before it is created.

    A directory is laid over the guest's root as it is.  Paths are relative to that root.
    """

    tree: Tree = field(default_factory=lambda: Tree(merged_usr=True))

    def directory(self, root: Path) -> "Overlay":
        """Everything below `root`."""
        self.tree.add_tree(root)
        return self

    def file(self, path: str, content: Path | bytes | str, mode: int = 0o644) -> "Overlay":
        """One file; a str is its text."""
        self.tree.file(path, content, mode)
        return self

    def script(self, name: str, text: str, early: bool = False) -> "Overlay":
        """A snippet that every boot runs: after disk and network, or `early`, before the drivers."""
        folder = "etc/hadump-lab-early.d" if early else "etc/hadump-lab.d"
        return self.file(f"{folder}/{name}.sh", text, 0o755)

    def program(self, binary: Path, path: str | None = None) -> "Overlay":
        """A program (by default in usr/sbin) and the libraries it needs."""
        self.tree.file(path or f"usr/sbin/{binary.name}", stripped(binary), 0o755)
        for name, library in shared_libraries(binary).items():
            place = _LOADER if name.startswith("ld-linux") else f"{_LIBRARIES}/{name}"
            self.tree.file(place, library.resolve(), 0o755)
        return self

    def module(self, binary: Path, release: str) -> "Overlay":
        """A kernel module, for insmod: lib/modules/RELEASE/extra/NAME.ko."""
        self.tree.file(f"lib/modules/{release}/extra/{binary.name}", stripped(binary))
        return self


def collect(programs: Iterable[Path], target: Path) -> list[str]:
    """Copies programs to target/bin and the libraries of all to target/lib; returns their names."""
    (target / "bin").mkdir(parents=True, exist_ok=True)
    (target / "lib").mkdir(parents=True, exist_ok=True)
    libraries: dict[str, Path] = {}
    for program in programs:
        shutil.copy(stripped(program), target / "bin" / program.name)
        libraries.update(shared_libraries(program))
    for name, path in libraries.items():
        shutil.copy(path.resolve(), target / "lib" / name)
    return sorted(libraries)
