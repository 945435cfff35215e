# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demo tells of a dump file: how the kernel died, and what each CPU was doing."""

import re
import subprocess
from pathlib import Path

from . import notes
from .errors import CheckFailed

_PANIC = re.compile(r"Kernel panic - not syncing")
_CAUSE = re.compile(r"BUG: |Oops|general protection fault|sysrq: Trigger a crash|watchdog: |NMI watchdog")
_CAUSE_AT_MOST_BEFORE = 120  # Lines: an oops prints its own registers and backtrace first.
# What an oops or a panic prints of a CPU: the report has it from the CPU notes, and complete.
_REGISTERS = re.compile(
    r"(RIP|RSP|RAX|RDX|RBP|R0[89]|R1[0-5]|EAX|EIP|FS|CS|CR2|DR[0-7]|PKRU|Code|ORIG_RAX): |---\[ "
)
_TIME = re.compile(r"^(\[ *\d+\.\d+\]) ?")
_NAMES = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
          "rsi", "rdi", "rip", "rflags", "rsp")  # fmt: skip


def kernel_log(dump: Path, reader: Path, lines: int) -> list[str]:
    """The end of the crashed kernel's log, read out of the dump itself by release-region."""
    command = [str(reader), "info", "--log-lines", str(lines), str(dump)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    _, found, log = done.stdout.partition("end of the kernel log:\n")
    if done.returncode != 0 or not found:
        raise CheckFailed(f"no kernel log in {dump}: {done.stderr or done.stdout}")
    return log.splitlines()


def last_words(log: list[str], limit: int) -> list[str]:
    """The panic's line first, then what caused it, then what came after the panic; no registers."""
    panics = [index for index, line in enumerate(log) if _PANIC.search(line)]
    if not panics:
        return log[-limit:]
    panic = panics[0]
    before = log[max(0, panic - _CAUSE_AT_MOST_BEFORE) : panic]
    causes = [line for line in before if _CAUSE.search(line)]
    after = [line for line in log[panic + 1 :] if not _REGISTERS.match(_TIME.sub("", line.strip()))]
    return [log[panic], *causes[:2], *after][:limit]


def registers(dump: Path) -> list[dict[str, str]]:
    """Of each CPU, by name, from the dump's CPU notes."""
    return [
        {name: f"{value:#018x}" for name, value in zip(_NAMES, words, strict=True)}
        for words in notes.registers(dump)
    ]
