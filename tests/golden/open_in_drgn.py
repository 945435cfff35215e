#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens a dump of a sample in drgn: frames by their physical address must be the sample's, and the
kernel's and the machine's names, as the guest has told them, must be found through the page tables.

    open_in_drgn.py SAMPLE DUMP [VMLINUX]

A frame that the dump has left out must not read as anything but zeros. With the debug kernel, all that
facts.py knows of the guest must be there as well. Exit status 0 when all of it holds.
"""

import re
import struct
import sys

import drgn
from drgn.helpers.linux import cpumask, pid, printk

from facts import PANIC, Facts, check_stack, expect

PAGE = 4096
STEP = 97  # Frames from one that is compared to the next.


class Sample:
    """An ELF core with whole frames in its PT_LOADs."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # pylint: disable=consider-using-with
        header = self._file.read(64)
        (phoff,) = struct.unpack_from("<Q", header, 32)
        (count,) = struct.unpack_from("<H", header, 56)
        self._file.seek(phoff)
        programs = [struct.unpack("<IIQQQQQQ", self._file.read(56)) for _ in range(count)]
        self._loads = [(p[4], p[5], p[2]) for p in programs if p[0] == 1]
        notes = next(p for p in programs if p[0] == 4)
        self.notes = self._read(notes[2], notes[5])

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def symbol(self, name: str) -> int:
        """An address from VMCOREINFO."""
        found = re.search(rf"SYMBOL\({name}\)=([0-9a-f]+)".encode(), self.notes)
        if not found:
            raise SystemExit(f"VMCOREINFO has no {name}")
        return int(found[1], 16)

    def frames(self):
        """Addresses and bytes of every STEPth frame."""
        for phys, size, offset in self._loads:
            first = (phys + PAGE - 1) // PAGE * PAGE
            for at in range(first, phys + size - PAGE + 1, STEP * PAGE):
                yield at, self._read(offset + at - phys, PAGE)


def compare(prog: drgn.Program, sample: Sample) -> tuple[int, int]:
    """How many frames are equal, and how many are left out."""
    equal = absent = 0
    for at, data in sample.frames():
        try:
            found = prog.read(at, PAGE, physical=True)
        except drgn.FaultError:
            absent += 1
            continue
        if found == data:
            equal += 1
        elif found == bytes(PAGE):
            absent += 1
        else:
            raise SystemExit(f"the frame at {at:#x} has other bytes than the sample's")
    return equal, absent


def check_structures(prog: drgn.Program, facts: Facts) -> None:
    """What the kernel knows of itself is what the guest has said."""
    tasks = list(pid.for_each_task(prog))
    facts.check_tasks({task.pid.value_(): task.comm.string_().decode() for task in tasks})
    crashed = prog.crashed_thread()
    expect(crashed.tid == 1, f"drgn: task {crashed.tid} has crashed")
    check_stack([frame.name for frame in crashed.stack_trace()])
    facts.check_log(printk.get_dmesg(prog).decode("utf-8", "replace"))
    cpus = len(list(cpumask.for_each_present_cpu(prog)))
    expect(cpus == facts.cpus, f"drgn: {cpus} CPUs")
    total = prog["_totalram_pages"].counter.value_() * PAGE // 1024
    expect(total == facts.mem_total_kib, f"drgn: {total} KiB of RAM")


def main() -> None:
    """Ends with status 1 and a line that says why when something is wrong."""
    sample, dump, facts = Sample(sys.argv[1]), sys.argv[2], Facts(f"{sys.argv[1]}.console")
    prog = drgn.Program()
    prog.set_core_dump(dump)
    equal, absent = compare(prog, sample)
    # A split dump's first or second file has no page tables: then there is nothing to find.
    if "part" not in dump:
        uts = prog.read(sample.symbol("init_uts_ns"), 512)
        for name in facts.release, facts.node:
            expect(b"\0" + name.encode() + b"\0" in uts, f"{name} is not where VMCOREINFO says")
    if equal == 0 or ("31" not in dump and "part" not in dump and absent > 0):
        raise SystemExit(f"only {equal} frames are there, {absent} are not")
    print(f"ok: drgn: {dump}: {equal} frames are the sample's, {absent} left out")
    if len(sys.argv) > 3:
        prog.load_debug_info([sys.argv[3]])
        check_structures(prog, facts)
        print(f"ok: drgn: {dump}: all {len(facts.tasks)} tasks of the guest, PID 1 in {PANIC!r}, its log")


main()
