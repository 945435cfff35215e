# SPDX-License-Identifier: GPL-2.0-or-later
"""A file tree in memory, and its "newc" archive as an initramfs wants it.

Everything belongs to root in the archive, whoever builds it; times are 0, so that equal input gives
an equal archive.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

# Debian's merged /usr.  Packages may still ship files below the old names.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Entry:
    """One member: `source` (a file on disk) or `data` has a regular file's content."""

    mode: int
    data: bytes = b""
    source: Path | None = None


class Tree:
    """Paths are relative, with forward slashes.  A later entry replaces an earlier one."""

    def __init__(self, merged_usr: bool = False) -> None:
        self._entries: dict[str, Entry] = {}
        self._merged = merged_usr
        if merged_usr:
            for name in _MERGED:
                self.directory(f"usr/{name}")
                self._entries[name] = Entry(stat.S_IFLNK | 0o777, f"usr/{name}".encode())

    def __contains__(self, path: str) -> bool:
        return self._place(path) in self._entries

    def paths(self) -> list[str]:
        """Every path, in order."""
        return sorted(self._entries)

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Adds a directory and its parents, unless something is there already."""
        self._parents(self._place(path))
        self._entries.setdefault(self._place(path), Entry(stat.S_IFDIR | mode))

    def file(self, path: str, content: Path | bytes | str, mode: int = 0o644) -> None:
        """Adds a regular file; a str is UTF-8 text."""
        place = self._place(path)
        self._parents(place)
        if isinstance(content, Path):
            self._entries[place] = Entry(stat.S_IFREG | mode, source=content)
        else:
            data = content.encode() if isinstance(content, str) else content
            self._entries[place] = Entry(stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        place = self._place(path)
        self._parents(place)
        self._entries[place] = Entry(stat.S_IFLNK | 0o777, target.encode())

    def add_tree(self, root: Path, keep: Callable[[str], bool] = lambda path: True) -> None:
        """Adds every file and link below `root` for which keep(relative path) holds."""
        for folder, folders, files in os.walk(root):
            folders.sort()
            base = Path(folder)
            for name in sorted(files) + [f for f in folders if (base / f).is_symlink()]:
                path = base / name
                relative = path.relative_to(root).as_posix()
                if not keep(relative):
                    continue
                if path.is_symlink():
                    self.symlink(relative, os.readlink(path))
                elif path.is_file():
                    self.file(relative, path, stat.S_IMODE(path.stat().st_mode))
            for name in folders:
                relative = (base / name).relative_to(root).as_posix()
                if not (base / name).is_symlink() and keep(relative + "/"):
                    self.directory(relative)

    def write(self, output: BinaryIO) -> None:
        """Writes the archive, uncompressed: it is quicker to load than to unpack in emulation."""
        for inode, path in enumerate(self.paths(), start=1):
            entry = self._entries[path]
            data = entry.source.read_bytes() if entry.source else entry.data
            _write_member(output, path, inode, entry.mode, data)
        _write_member(output, "TRAILER!!!", 0, 0, b"")
        output.write(b"\0" * (-output.tell() % 512))

    def _place(self, path: str) -> str:
        clean = PurePosixPath("/", path).relative_to("/").as_posix()
        first = clean.partition("/")[0]
        if self._merged and first in _MERGED and clean != first:
            return f"usr/{clean}"
        return clean

    def _parents(self, place: str) -> None:
        for parent in list(PurePosixPath(place).parents)[:-1]:
            self._entries.setdefault(parent.as_posix(), Entry(stat.S_IFDIR | 0o755))


def _write_member(output: BinaryIO, name: str, inode: int, mode: int, data: bytes) -> None:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, nlink, mtime, size, devmajor, devminor, rdevmajor, rdevminor,
    # namesize, check
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    output.write(header + encoded)
    output.write(b"\0" * (-(len(header) + len(encoded)) % 4))
    output.write(data)
    output.write(b"\0" * (-len(data) % 4))
