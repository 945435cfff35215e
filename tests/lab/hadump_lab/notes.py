# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU notes of a dump file, ELF or kdump-compressed, by a reader of the lab's own."""

import struct
from pathlib import Path

from .errors import CheckFailed

_NT_PRSTATUS = 1
# struct elf_prstatus of x86-64: pr_reg, of which the first 20 words are r15 … rsp.
_PR_REG = 112
# Those that Xen's vCPU context has, too: orig_rax (15) and cs (17) are Linux's or constant.
_WANTED = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 19)
_BLOCK = 4096


def registers(dump: Path) -> list[list[int]]:
    """r15 to rdi, rip, rflags and rsp of each CPU note, in the notes' order."""
    with open(dump, "rb") as file:
        head = file.read(2 * _BLOCK)
        if head[:4] == b"\x7fELF":
            offset, size = _elf_notes(head)
        elif head[:8] == b"KDUMP   ":
            offset, size = struct.unpack_from("<QQ", head, _BLOCK + 48)
        else:
            raise CheckFailed(f"{dump} is neither ELF nor kdump-compressed")
        file.seek(offset)
        notes = file.read(size)
    found = []
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12 : at + 12 + name_size].rstrip(b"\0")
        data = at + 12 + (name_size + 3) // 4 * 4
        if kind == _NT_PRSTATUS and name == b"CORE":
            words = struct.unpack_from("<20Q", notes, data + _PR_REG)
            found.append([words[index] for index in _WANTED])
        at = data + (size + 3) // 4 * 4
    return found


def _elf_notes(head: bytes) -> tuple[int, int]:
    (table,) = struct.unpack_from("<Q", head, 32)
    (count,) = struct.unpack_from("<H", head, 56)
    for index in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", head, table + 56 * index)
        if kind == 4:  # PT_NOTE
            return offset, size
    raise CheckFailed("the ELF file has no notes")
